//! Checks the options of a log on Kafka without a request to a broker.

use rdkafka::error::KafkaError;

use super::{
    client,
    options::{KafkaLogOptions, Mechanism, Mistake},
};

impl KafkaLogOptions {
    /// Reports the first mistake in the options.
    pub fn check(&self) -> Result<(), Mistake> {
        let mistake = |setting, cause| Err(Mistake { setting, cause });
        let named = [
            ("kafka-brokers", &self.brokers),
            ("kafka-topic", &self.topic),
            ("kafka-group", &self.group),
        ];
        if let Some((setting, _)) = named.iter().find(|(_, value)| value.trim().is_empty()) {
            return mistake(setting, "must not be empty".to_owned());
        }
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if !self.topic.chars().all(allowed) || self.letters_topic().len() > 249 {
            let cause = "expected at most 245 letters, digits, '.', '_' and '-'";
            return mistake("kafka-topic", cause.to_owned());
        }
        let scram = self.security.authenticates() && self.mechanism != Mechanism::Plain;
        if (self.security.is_encrypted() || scram) && !cfg!(feature = "kafka-tls") {
            let cause = "this program was built without TLS and SCRAM for Kafka; use the image, or build it with the cargo \
                         feature ingest/kafka-tls-vendored";
            return mistake("kafka-security", cause.to_owned());
        }
        if self.security.authenticates() && (self.username.is_none() || self.password.is_none()) {
            let cause = "SASL needs both a user name and a password; set --kafka-username and BOOKEND_KAFKA_PASSWORD";
            return mistake("kafka-security", cause.to_owned());
        }
        if let Some(file) = &self.ca_file
            && let Err(error) = std::fs::File::open(file)
        {
            return mistake("kafka-ca-file", error.to_string());
        }
        self.check_properties()
    }

    /// Checks that librdkafka accepts the properties, and that deliveries end before requests.
    fn check_properties(&self) -> Result<(), Mistake> {
        let creates = |(name, value): &&(String, String)| {
            name == client::AUTO_CREATE && !value.eq_ignore_ascii_case("false")
        };
        if let Some((name, _)) = self.properties.iter().find(creates) {
            let cause = format!(
                "{name} must stay false: a topic that the brokers create by themselves has other settings than \
                 Bookend needs; create it with `bookend setup`"
            );
            return Err(Mistake { setting: "kafka-property", cause });
        }
        let refused = |error| self.refused_property(error);
        client::member(self).create_native_config().map_err(refused)?;
        let producer = client::producer(self).create_native_config().map_err(refused)?;
        let delivery = producer.get("message.timeout.ms").map_err(refused)?;
        let deadline = self.append_deadline;
        // 0 means no limit to the driver.
        if delivery
            .parse()
            .is_ok_and(|delivery: u128| 0 < delivery && delivery < deadline.as_millis())
        {
            return Ok(());
        }
        let names = ["message.timeout.ms", "delivery.timeout.ms"];
        let by_property = self.properties.iter().any(|(name, _)| names.contains(&name.as_str()));
        let setting = if by_property { "kafka-property" } else { "kafka-delivery-timeout" };
        let cause = format!(
            "the delivery timeout must be above 0 and below --kafka-append-deadline ({deadline:?}); \
             otherwise a rejected batch could still be appended"
        );
        Err(Mistake { setting, cause })
    }

    /// Names the setting behind a refused property, without its value, which may be a password.
    fn refused_property(&self, error: KafkaError) -> Mistake {
        let KafkaError::ClientConfig(_, cause, property, _) = error else {
            return Mistake { setting: "kafka-property", cause: error.to_string() };
        };
        let setting = match property.as_str() {
            given if self.properties.iter().any(|(name, _)| name == given) => "kafka-property",
            "session.timeout.ms" => "kafka-session-timeout",
            "message.timeout.ms" => "kafka-delivery-timeout",
            "group.instance.id" => "kafka-member",
            "ssl.ca.location" => "kafka-ca-file",
            _ => "kafka-brokers",
        };
        let cause = cause.replace("No such configuration property:", "unknown librdkafka property");
        Mistake { setting, cause }
    }
}
