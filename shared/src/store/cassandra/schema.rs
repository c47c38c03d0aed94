//! Sets up the keyspace and its tables from `deploy/schema.cql`.
//!
//! Every statement can be repeated, so a run that was interrupted is continued by the next one. All
//! changes go to one node, so the changes of concurrent runs are serialized. Never drops anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use scylla::{
    client::session::Session,
    errors::{DbError, ExecutionError, RequestAttemptError},
    policies::load_balancing::{
        LoadBalancingPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy,
    },
    response::query_result::QueryResult,
    serialize::row::SerializeRow,
};

use self::{
    nodes::check_nodes,
    statement::{Change, Statement, sections},
    version::{NAME, select_versions, versions},
};
use super::driver::{
    CassandraOpenError, CassandraOptions, Result, RetryCause, open_error, open_session, retry_cause,
};

mod nodes;
mod replication;
mod statement;
mod version;

pub use self::replication::Replication;
pub(super) use self::version::warn_if_newer;

/// The schema of this version.
const SCHEMA: &str = include_str!("../../../../deploy/schema.cql");

/// Timeout of one statement. Nodes agree on a schema change and flush it to disk before they
/// acknowledge it: on a busy server, that takes many times as long as a read or a write.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Retries after a failure of a node, with delays of 1, 2 and 4 seconds.
const RETRIES: usize = 3;

const KEYSPACE: &str = "SELECT durable_writes FROM system_schema.keyspaces WHERE keyspace_name = ?";
const TABLE: &str =
    "SELECT id FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
const TYPE: &str =
    "SELECT type_name FROM system_schema.types WHERE keyspace_name = ? AND type_name = ?";
const COLUMN: &str = "SELECT kind FROM system_schema.columns \
    WHERE keyspace_name = ? AND table_name = ? AND column_name = ?";

/// A connection for schema changes.
struct Setup<'a> {
    session: Session,
    /// The node that executes every change.
    coordinator: Option<Arc<dyn LoadBalancingPolicy>>,
    options: &'a CassandraOptions,
    /// Tables that this run created.
    created: BTreeSet<String>,
}

/// Creates the keyspace if it is missing, and applies every version of the schema that is not, or
/// only partly, applied. Returns one sentence for each change.
///
/// # Errors
/// [`CassandraOpenError`]. Changes made before the failure remain, and the next run continues.
pub async fn setup(options: &CassandraOptions, replication: &Replication) -> Result<Vec<String>> {
    setup_from(SCHEMA, options, replication).await
}

/// Does the same as [`setup`] with the text of another schema: for tests of later versions.
///
/// # Errors
/// As [`setup`], and [`CassandraOpenError::Statement`] for a text with other statements than CREATE
/// TABLE or TYPE IF NOT EXISTS, ALTER TABLE ADD and ALTER TABLE WITH.
pub async fn setup_from(
    schema: &str,
    options: &CassandraOptions,
    replication: &Replication,
) -> Result<Vec<String>> {
    let sections = sections(schema)?;
    let mut setup = Setup::connect(options).await?;
    let mut done = vec![setup.create_keyspace(replication).await?];
    setup.agree().await?;
    let recorded = setup.recorded_versions().await?;
    let known = sections.last().map_or(0, |section| section.version);
    if let Some(newer) = recorded.iter().copied().max().filter(|newest| *newest > known) {
        let keyspace = options.keyspace.clone();
        return Err(CassandraOpenError::NewerSchema { keyspace, recorded: newer, known });
    }
    for section in sections {
        let is_recorded = recorded.contains(&section.version);
        for statement in &section.statements {
            done.extend(setup.apply(statement, is_recorded).await?);
            setup.agree().await?;
        }
        done.push(setup.record(section.version, is_recorded).await?);
    }
    done.extend(check_nodes(&setup.session, options).await?);
    Ok(done)
}

impl<'a> Setup<'a> {
    async fn connect(options: &'a CassandraOptions) -> Result<Self> {
        let request_timeout = options.request_timeout.max(TIMEOUT);
        let patient = CassandraOptions { request_timeout, ..options.clone() };
        let session = open_session(&patient).await?;
        let cluster = session.get_cluster_state();
        let nodes = cluster.get_nodes_info().iter().filter(|node| node.is_connected());
        // The same node for concurrent runs: until Cassandra 5.1, two nodes that create a table at
        // the same time create two different tables.
        let coordinator = nodes.min_by_key(|node| node.host_id).map(|node| {
            let node = NodeIdentifier::Node(Arc::clone(node));
            SingleTargetLoadBalancingPolicy::new(node, None)
        });
        Ok(Self { session, coordinator, options, created: BTreeSet::new() })
    }

    async fn create_keyspace(&self, replication: &Replication) -> Result<String> {
        let keyspace = self.options.keyspace.as_str();
        if self.finds(KEYSPACE, (keyspace,)).await? {
            return Ok(format!("keyspace {keyspace} exists; its replication is unchanged"));
        }
        self.require_quorum(replication)?;
        let create =
            format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}");
        self.change(&create).await?;
        Ok(format!("created keyspace {keyspace} with replication {replication}"))
    }

    /// Refuses a replication for which too few nodes are up. Otherwise the keyspace would remain,
    /// and the next run would not change its replication.
    fn require_quorum(&self, replication: &Replication) -> Result<()> {
        let mut up = BTreeMap::<_, usize>::new();
        let cluster = self.session.get_cluster_state();
        for node in cluster.get_nodes_info().iter().filter(|node| node.is_connected()) {
            *up.entry(node.datacenter.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let asked =
            |datacenter: &str| self.options.datacenter.as_deref().is_none_or(|it| it == datacenter);
        let (mut replicas, mut alive) = (0, 0);
        for (datacenter, nodes) in up.iter().filter(|(datacenter, _)| asked(datacenter)) {
            let here = replication.in_datacenter(datacenter);
            replicas += here;
            alive += here.min(*nodes);
        }
        let required = replicas / 2 + 1;
        if alive >= required {
            return Ok(());
        }
        let keyspace = self.options.keyspace.clone();
        let [required, alive] =
            [required, alive].map(|nodes| i32::try_from(nodes).unwrap_or(i32::MAX));
        Err(CassandraOpenError::TooFewNodes { keyspace, required, alive })
    }

    /// The versions recorded before this run; none when the table of versions does not exist.
    async fn recorded_versions(&self) -> Result<Vec<i32>> {
        match self.execute(&select_versions(&self.options.keyspace), (NAME,)).await {
            Ok(selected) => versions(selected),
            Err(error) if is_unknown(&error) => Ok(Vec::new()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Executes one statement. Returns a sentence for a change.
    ///
    /// Until the version is recorded, CREATE runs even if a concurrent run has created the table: a
    /// server lists a table shortly before it can be used, but executes changes one after another.
    /// Afterwards it does not run, so that a repeated setup needs no permission to create.
    async fn apply(&mut self, statement: &Statement, is_recorded: bool) -> Result<Option<String>> {
        let keyspace = self.options.keyspace.as_str();
        let text = statement.in_keyspace(keyspace);
        match &statement.change {
            Change::Table(table) => {
                let exists = self.finds(TABLE, (keyspace, table)).await?;
                if exists && is_recorded {
                    return Ok(None);
                }
                let done = self.create_table(table, &text).await?;
                if exists {
                    return Ok(None);
                }
                self.created.insert(table.clone());
                Ok(Some(done))
            }
            Change::Type(name) => {
                let exists = self.finds(TYPE, (keyspace, name)).await?;
                if !(exists && is_recorded) {
                    self.change(&text).await?;
                }
                Ok((!exists).then(|| format!("created type {name}")))
            }
            Change::Column { table, column }
                if !self.finds(COLUMN, (keyspace, table, column)).await? =>
            {
                if let Err(error) = self.change(&text).await
                    // A concurrent run may have added it meanwhile.
                    && !self.finds(COLUMN, (keyspace, table, column)).await?
                {
                    return Err(error);
                }
                Ok(Some(format!("added column {table}.{column}")))
            }
            // Options are set once, so that changes by the operator remain.
            Change::Options { table } if !is_recorded || self.created.contains(table) => {
                self.change(&text).await?;
                Ok(Some(format!("changed the options of table {table}")))
            }
            _ => Ok(None),
        }
    }

    /// Creates one table, with the server's default compaction if the server does not know the
    /// compaction class.
    async fn create_table(&self, table: &str, text: &str) -> Result<String> {
        let Err(error) = self.execute(text, ()).await else {
            return Ok(format!("created table {table}"));
        };
        match text.split_once("  AND compaction = ") {
            Some((without, _)) if is_unknown(&error) => {
                self.change(without).await?;
                Ok(format!("created table {table} with the server's default compaction: {error}"))
            }
            _ => Err(self.failed(&error)),
        }
    }

    /// Records that a version is applied.
    async fn record(&self, version: i32, is_recorded: bool) -> Result<String> {
        if is_recorded {
            return Ok(format!("schema version {version} is already recorded"));
        }
        let keyspace = &self.options.keyspace;
        let insert =
            format!("INSERT INTO {keyspace}.schema_migrations (name, version) VALUES (?, ?)");
        let inserted = self.execute(&insert, (NAME, version)).await;
        inserted.map_err(|error| self.failed(&error))?;
        Ok(format!("recorded schema version {version}"))
    }

    /// Whether `select` finds a row in the coordinator's own tables.
    async fn finds(&self, select: &str, values: impl SerializeRow) -> Result<bool> {
        let result = self.execute(select, values).await.map_err(|error| self.failed(&error))?;
        let rows = result.into_rows_result();
        Ok(rows.map_err(|error| CassandraOpenError::Refused(error.to_string()))?.rows_num() > 0)
    }

    async fn change(&self, text: &str) -> Result<()> {
        self.execute(text, ()).await.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Waits until all nodes agree on the schema, also after a change of a concurrent run.
    async fn agree(&self) -> Result<()> {
        let agreed = self.session.await_schema_agreement().await;
        agreed.map_err(|error| self.failed(&error.into()))?;
        Ok(())
    }

    async fn execute(
        &self,
        text: &str,
        values: impl SerializeRow,
    ) -> Result<QueryResult, ExecutionError> {
        let mut statement = scylla::statement::Statement::new(text);
        statement.set_load_balancing_policy(self.coordinator.clone());
        // Nodes agree on a new table shortly before they can use it; until then, requests fail.
        let attempt = || self.session.query_unpaged(statement.clone(), &values);
        let failed = |error: &ExecutionError| retry_cause(error) == RetryCause::Failure;
        attempt.retry(ExponentialBuilder::new().with_max_times(RETRIES)).when(failed).await
    }

    fn failed(&self, error: &ExecutionError) -> CassandraOpenError {
        open_error(self.options, error)
    }
}

/// Whether the server rejects the content of a statement.
fn is_unknown(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::ConfigError | DbError::Invalid | DbError::SyntaxError,
            _
        ))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::{MARGIN, RETENTION, SECOND};

    #[test]
    fn the_schema_has_only_statements_that_are_safe_to_repeat() {
        let sections = sections(SCHEMA).unwrap();
        assert_eq!(sections.iter().map(|section| section.version).collect::<Vec<_>>(), [1]);
        let tables: Vec<_> = sections[0]
            .statements
            .iter()
            .map(|statement| match &statement.change {
                Change::Table(table) => table.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            "schema_migrations",
            "facts",
            "completed_by_user",
            "starts_by_country",
            "start_partitions",
            "countries",
        ];
        assert_eq!(tables, expected);
    }

    #[test]
    fn rows_without_a_time_to_live_of_their_own_live_for_the_retention_and_the_margin() {
        let default = format!("default_time_to_live = {}", (RETENTION + MARGIN) / SECOND);
        assert_eq!(SCHEMA.matches("default_time_to_live").count(), 5);
        assert_eq!(SCHEMA.matches(&default).count(), 5);
    }
}
