//! TLS and logins, on a server that requires both.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use scylla::client::{
    session::{Session, TlsContext},
    session_builder::SessionBuilder,
};
use shared::{
    config::Secret,
    store::{
        CassandraStore, Store, StoreError,
        cassandra::{CassandraOpenError, CassandraOptions, CassandraTls, Trial, setup},
    },
};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::schema::obstacle;
use crate::{
    NOW, absorb, end, facts,
    stack::{Service, Stack},
};

/// The longest time until a granted permission is effective.
const PATIENCE: Duration = Duration::from_secs(20);

async fn refused(options: CassandraOptions) -> CassandraOpenError {
    CassandraStore::open(options).await.unwrap_err()
}

#[tokio::test]
async fn a_server_with_certificates_and_passwords_is_used_and_what_it_refuses_is_told() {
    let stack = Stack::own_only(Service::Cassandra, 1, true);
    let tls = CassandraTls {
        ca_file: stack.setting("BOOKEND_CASSANDRA_CA_FILE").into(),
        server_name: None,
    };
    let options = CassandraOptions {
        nodes: vec![stack.cassandra_nodes().to_owned()],
        username: Some(stack.setting("BOOKEND_CASSANDRA_USERNAME").to_owned()),
        password: Some(Secret::new(stack.setting("BOOKEND_CASSANDRA_PASSWORD"))),
        tls: Some(tls.clone()),
        ..CassandraOptions::default()
    };
    setup(&options, &"1".parse().unwrap()).await.unwrap();
    for server_name in [None, Some("localhost".to_owned())] {
        let tls = CassandraTls { server_name, ..tls.clone() };
        let store = CassandraStore::open(CassandraOptions { tls: Some(tls), ..options.clone() })
            .await
            .unwrap();
        let store = Store::Cassandra(store.into());
        absorb(&store, "u", "s", &[end(NOW)]).await;
        assert_eq!(facts(&store, "u", "s").await.ends().len(), 1);
    }

    with_few_rights(&options).await;
    let wrong =
        refused(CassandraOptions { password: Some(Secret::new("wrong")), ..options.clone() }).await;
    assert!(matches!(wrong, CassandraOpenError::Login(_)), "{wrong:?}");
    assert!(!wrong.to_string().contains("wrong"), "{wrong}");
    let waiting = CassandraStore::start(
        CassandraOptions { password: Some(Secret::new("wrong")), ..options.clone() },
        &[],
    );
    let login = |error: &StoreError| error.to_string().contains("rejected the login");
    obstacle(&Store::Cassandra(waiting.into()), login).await;
    let nobody =
        refused(CassandraOptions { username: None, password: None, ..options.clone() }).await;
    assert!(matches!(nobody, CassandraOpenError::Login(_)), "{nobody:?}");

    let other_name =
        CassandraTls { server_name: Some("elsewhere.example".to_owned()), ..tls.clone() };
    let named = refused(CassandraOptions { tls: Some(other_name), ..options.clone() }).await;
    assert!(
        matches!(&named, CassandraOpenError::Certificate(cause) if cause.contains("elsewhere.example")),
        "{named:?}"
    );
    let other_authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("other.pem");
    std::fs::write(&ca_file, other_authority.cert.pem()).unwrap();
    let authority = CassandraTls { ca_file, server_name: None };
    let unknown = refused(CassandraOptions { tls: Some(authority), ..options.clone() }).await;
    assert!(matches!(unknown, CassandraOpenError::Certificate(_)), "{unknown:?}");
    let nothing = CassandraTls { ca_file: dir.path().join("missing.pem"), server_name: None };
    let missing = refused(CassandraOptions { tls: Some(nothing), ..options.clone() }).await;
    assert!(
        matches!(&missing, CassandraOpenError::Certificate(cause) if cause.contains("missing.pem")),
        "{missing:?}"
    );
    let plain = refused(CassandraOptions { tls: None, ..options }).await;
    assert!(matches!(plain, CassandraOpenError::Unreachable { .. }), "{plain:?}");
}

/// Opens a connection of the superuser.
async fn superuser(options: &CassandraOptions) -> Session {
    let mut authorities = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(&options.tls.as_ref().unwrap().ca_file).unwrap()
    {
        authorities.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(authorities).with_no_client_auth();
    SessionBuilder::new()
        .known_nodes(&options.nodes)
        .user(options.username.as_ref().unwrap(), options.password.as_ref().unwrap().reveal())
        .tls_context(Some(TlsContext::Rustls023(Arc::new(config))))
        .build()
        .await
        .unwrap()
}

/// A missing permission is an error of `setup` and of opening a store. A setup that has nothing to
/// change needs no permission to create.
async fn with_few_rights(options: &CassandraOptions) {
    let role = "CREATE ROLE guest WITH LOGIN = true AND PASSWORD = 'guest'";
    let superuser = superuser(options).await;
    superuser.query_unpaged(role, ()).await.unwrap();
    let (username, password) = (Some("guest".to_owned()), Some(Secret::new("guest")));
    let guest = CassandraOptions { username, password, ..options.clone() };
    let closed = refused(guest.clone()).await;
    assert!(
        matches!(&closed, CassandraOpenError::Unauthorized(cause) if cause.contains("guest")),
        "{closed:?}"
    );
    let select = format!("GRANT SELECT ON KEYSPACE {} TO guest", guest.keyspace);
    superuser.query_unpaged(select, ()).await.unwrap();
    // The server caches permissions for some seconds.
    let begun = Instant::now();
    let repeated = loop {
        match setup(&guest, &"1".parse().unwrap()).await {
            Err(CassandraOpenError::Unauthorized(_)) if begun.elapsed() < PATIENCE => {}
            done => break done.unwrap(),
        }
    };
    assert!(!repeated.iter().any(|done| done.starts_with("created")), "{repeated:?}");
    let consumer = CassandraStore::start(guest.clone(), &[Trial::Write]);
    let consumer = Store::Cassandra(consumer.into());
    for table in
        ["facts", "starts_by_country", "completed_by_user", "start_partitions", "countries"]
    {
        // Every table that a consumer writes is tried at the start.
        obstacle(&consumer, |error| error.to_string().contains(table)).await;
        let modify = format!("GRANT MODIFY ON TABLE {}.{table} TO guest", guest.keyspace);
        superuser.query_unpaged(modify, ()).await.unwrap();
    }
    consumer.opened().await;
    let elsewhere = CassandraOptions { keyspace: "elsewhere".to_owned(), ..guest };
    let unmade = setup(&elsewhere, &"1".parse().unwrap()).await.unwrap_err();
    assert!(
        matches!(&unmade, CassandraOpenError::Unauthorized(cause) if cause.contains("guest")),
        "{unmade:?}"
    );
}

#[tokio::test]
async fn a_server_without_certificates_is_told_from_one_with_others() {
    let plain = Stack::shared_plain().cassandra_nodes().to_owned();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("authority.pem");
    std::fs::write(&ca_file, certificate.cert.pem()).unwrap();
    let tls = Some(CassandraTls { ca_file, server_name: None });
    let refused =
        refused(CassandraOptions { nodes: vec![plain], tls, ..CassandraOptions::default() }).await;
    assert!(
        matches!(&refused, CassandraOpenError::Certificate(cause) if cause.contains("does not speak TLS")),
        "{refused:?}"
    );
}
