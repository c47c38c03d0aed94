//! Brokers that require a login over an encrypted connection.

use shared::config::Secret;

use super::{
    stack::{Service, Stack},
    *,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_in_over_tls_is_served_and_nobody_else_is_and_hears_why() {
    let stack =
        tokio::task::spawn_blocking(|| Stack::own_only(Service::Kafka, 1, true)).await.unwrap();
    let options = KafkaLogOptions {
        security: stack.setting("BOOKEND_KAFKA_SECURITY").parse().unwrap(),
        mechanism: stack.setting("BOOKEND_KAFKA_MECHANISM").parse().unwrap(),
        username: Some(stack.setting("BOOKEND_KAFKA_USERNAME").to_owned()),
        password: Some(Secret::new(stack.setting("BOOKEND_KAFKA_PASSWORD"))),
        ca_file: Some(stack.setting("BOOKEND_KAFKA_CA_FILE").into()),
        ..named(stack.kafka_brokers().to_owned())
    };
    setup(&options, 2, 1).await.unwrap();
    let log = open(&options).await;
    log.append(records("r", 10)).await.unwrap();
    let polled = poll(&log, 10).await;
    log.commit(offsets_after(&polled)).await.unwrap();
    let wrong = KafkaLogOptions { password: Some(Secret::new("wrong")), ..options.clone() };
    assert!(refused(wrong).await.to_lowercase().contains("authentication"));
    // The system's certificates are used instead, which do not include these brokers' authority.
    assert!(
        refused(KafkaLogOptions { ca_file: None, ..options.clone() }).await.contains("certificate")
    );
    log.close().await;
    drop(log);
    tokio::task::block_in_place(|| drop(stack));
}

/// The error of an append.
async fn refused(options: KafkaLogOptions) -> String {
    let log = open(&options).await;
    until("the brokers have refused", || log.ready().is_err()).await;
    log.append(records("refused", 1)).await.unwrap_err().to_string()
}
