//! The settings of the nodes, as `setup` checks them.

use std::{collections::BTreeMap, sync::Arc};

use scylla::{
    client::session::Session,
    errors::ExecutionError,
    policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy},
    statement::{Consistency, Statement},
};

use crate::store::cassandra::{
    driver::{
        CassandraOpenError, CassandraOptions, Result, RetryCause, in_the_way, open_error,
        open_requests, retry_cause,
    },
    trial::{self, Trial},
};

const SETTINGS: &str = "SELECT name, value FROM system_views.settings";

/// What the settings of the connected nodes mean for this program.
#[derive(Debug, Default)]
struct NodeSettings {
    /// What an ordinary user will be refused for, one sentence each.
    obstacles: Vec<String>,
    /// What an operator should know, one sentence each.
    remarks: Vec<String>,
}

/// Checks the settings of the nodes, and whether they let this user write what a consumer writes.
/// Returns remarks. Guardrails apply only where a login is required.
pub(super) async fn check_nodes(
    session: &Session,
    options: &CassandraOptions,
) -> Result<Vec<String>> {
    let NodeSettings { obstacles, mut remarks } = node_settings(session, options.level()).await;
    if options.username.is_none() {
        let remark = |obstacle| format!("{obstacle}; with a login, writes would be refused");
        remarks.extend(obstacles.into_iter().map(remark));
        return Ok(remarks);
    }
    if !obstacles.is_empty() {
        return Err(CassandraOpenError::Guardrails(obstacles.join("; ")));
    }
    // The services may use another user, so only a refusal by a guardrail counts.
    let requests = open_requests(options).await?;
    match trial::run(&[Trial::Write], &requests, options.margin_ms).await {
        Err(error) if retry_cause(&error) == RetryCause::Refused => {
            Err(open_error(options, &error))
        }
        _ => Ok(remarks),
    }
}

/// Reads the settings of every connected node. Each node shows only its own.
async fn node_settings(session: &Session, level: Consistency) -> NodeSettings {
    let mut found = NodeSettings::default();
    for node in session.get_cluster_state().get_nodes_info() {
        if !node.is_connected() {
            continue;
        }
        let mut select = Statement::new(SETTINGS);
        select.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(
            NodeIdentifier::Node(Arc::clone(node)),
            None,
        )));
        match read(session, select).await {
            Ok(settings) => {
                let address = node.address;
                let named = |obstacle: String| format!("node {address}: {obstacle}");
                found.obstacles.extend(in_the_way(&settings, level).into_iter().map(named));
                if settings.get("commitlog_sync").is_some_and(|sync| sync == "periodic") {
                    found.remarks.push(format!(
                        "node {address}: commitlog_sync is periodic, so a crash loses acknowledged \
                         rows; set it to batch or group"
                    ));
                }
            }
            // The same user is refused by every node, and older versions do not have the table.
            Err(error) => {
                found.remarks.push(format!(
                    "the settings of the nodes were not checked: {error}; grant SELECT on keyspace \
                     system_views to the user of setup"
                ));
                break;
            }
        }
    }
    found
}

async fn read(
    session: &Session,
    select: Statement,
) -> Result<BTreeMap<String, String>, ExecutionError> {
    let result = session.query_unpaged(select, ()).await?;
    let mut settings = BTreeMap::new();
    // A version whose table has other columns is as good as one without the table.
    if let Ok(rows) = result.into_rows_result()
        && let Ok(rows) = rows.rows::<(String, Option<String>)>()
    {
        settings.extend(rows.flatten().filter_map(|(name, value)| Some((name, value?))));
    }
    Ok(settings)
}
