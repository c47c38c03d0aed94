/* Reads a number that a test may change while the process runs. It allocates nothing, because
   allocators ask for the time while they start. */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The number in the file that PRELOAD_NUMBER names; 0 without one. */
static long number(void)
{
    const char *path = getenv("PRELOAD_NUMBER");
    char text[32] = {0};
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 ? atol(text) : 0;
}
