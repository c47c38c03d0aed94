/* Makes the disk slow for a process: each fsync and fdatasync takes a number of milliseconds longer.
   Preload it as a library. */

#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "number.h"

static void delay(void)
{
    long milliseconds = number();
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&left, &left))
        ;
}

int fsync(int file)
{
    delay();
    return syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    delay();
    return syscall(SYS_fdatasync, file);
}
