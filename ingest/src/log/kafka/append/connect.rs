//! Creates the driver's producer.

use std::sync::Arc;

use rdkafka::error::KafkaResult;

use super::{
    super::{
        client,
        context::{Context, Health},
        options::KafkaLogOptions,
        thread::DroppedAside,
        throttle::Throttle,
    },
    probe::DriverProducer,
};

/// The interval of the driver's statistics, in milliseconds: how late a throttle is noticed.
const STATISTICS_MS: &str = "200";

/// Creates a producer, which connects in the background.
pub(super) fn connect(
    options: &KafkaLogOptions,
    throttle: &Arc<Throttle>,
) -> KafkaResult<(Arc<DriverProducer>, Arc<Health>)> {
    let health = Arc::new(Health::default());
    let context = Context::new("producer", Arc::clone(&health))
        .naming(&options.brokers)
        .with_throttle(throttle);
    let mut config = client::producer(options);
    config.set("statistics.interval.ms", STATISTICS_MS);
    let client = client::create(&config, context)?;
    Ok((Arc::new(DroppedAside::new(client)), health))
}
