//! The replication of a keyspace: parsed from a setting, printed as CQL.

use std::{fmt, str::FromStr};

/// Number of replicas of every row, by data centre or for every data centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication(Vec<(String, u8)>);

/// The option for every data centre.
const EVERY: &str = "replication_factor";

const EXPECTED: &str =
    "expected a number of replicas such as 3, or one for each data centre such as east:3,west:3";

impl Replication {
    /// The number of replicas of a row in a data centre.
    pub(super) fn in_datacenter(&self, datacenter: &str) -> usize {
        let of = |(name, _): &&(String, u8)| name == datacenter || name == EVERY;
        self.0.iter().find(of).map_or(0, |(_, replicas)| usize::from(*replicas))
    }
}

/// Three replicas.
impl Default for Replication {
    fn default() -> Self {
        Self(vec![(EVERY.to_owned(), 3)])
    }
}

/// `3`, or `east:3,west:3`.
impl FromStr for Replication {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let replicas =
            |text: &str| text.trim().parse().ok().filter(|replicas| *replicas > 0).ok_or(EXPECTED);
        if let Ok(replicas) = replicas(text) {
            return Ok(Self(vec![(EVERY.to_owned(), replicas)]));
        }
        let datacenter = |part: &str| {
            let (name, number) = part.split_once(':').ok_or(EXPECTED)?;
            let fits = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
            let name = Some(name.trim()).filter(|name| !name.is_empty() && name.chars().all(fits));
            Ok::<_, &str>((name.ok_or(EXPECTED)?.to_owned(), replicas(number)?))
        };
        Ok(Self(text.split(',').map(datacenter).collect::<Result<_, _>>()?))
    }
}

/// The map of replication options in CQL.
impl fmt::Display for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{'class': 'NetworkTopologyStrategy'")?;
        for (name, replicas) in &self.0 {
            write!(f, ", '{name}': {replicas}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_a_number_or_one_for_each_data_centre() {
        let cql =
            |text: &str| text.parse::<Replication>().map(|replication| replication.to_string());
        let all = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}";
        assert_eq!(cql("3").as_deref(), Ok(all));
        let each = "{'class': 'NetworkTopologyStrategy', 'east': 3, 'west': 2}";
        assert_eq!(cql("east:3, west:2").as_deref(), Ok(each));
        let parsed = |text: &str| text.parse::<Replication>().unwrap();
        assert_eq!(parsed("3").in_datacenter("east"), 3);
        let each = parsed("east:3, west:2");
        assert_eq!(["east", "west", "north"].map(|name| each.in_datacenter(name)), [3, 2, 0]);
        for wrong in ["", "0", "-1", "east", "east:0", "east:3,", "it's:1", ":2"] {
            assert_eq!(cql(wrong), Err(EXPECTED), "{wrong}");
        }
    }
}
