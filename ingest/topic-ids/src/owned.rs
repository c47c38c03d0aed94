//! The objects of the driver that this crate owns. Each is destroyed once, when it is dropped.

use std::ptr::NonNull;

use rdkafka::bindings;

/// Defines a type that owns an object of the driver.
macro_rules! owned {
    ($($name:ident, $object:ident, $destroy:ident;)*) => {$(
        #[doc = concat!("Owns a `", stringify!($object), "`.")]
        pub(crate) struct $name(NonNull<bindings::$object>);

        impl $name {
            /// Takes the ownership of `object`, which no other value may own; `None` if it is null.
            pub(crate) fn new(object: *mut bindings::$object) -> Option<Self> {
                NonNull::new(object).map(Self)
            }

            pub(crate) fn ptr(&self) -> *mut bindings::$object {
                self.0.as_ptr()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: this value is the only owner of the object, and is dropped once.
                unsafe { bindings::$destroy(self.0.as_ptr()) }
            }
        }
    )*};
}

owned! {
    Queue, rd_kafka_queue_t, rd_kafka_queue_destroy;
    AdminOptions, rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy;
    TopicCollection, rd_kafka_TopicCollection_t, rd_kafka_TopicCollection_destroy;
    Event, rd_kafka_event_t, rd_kafka_event_destroy;
}
