//! The sender of a request, and its rights.

use std::{fmt, sync::Arc};

use super::{
    denial::{Denial, Denials},
    id::RequestId,
    right::Access,
};
use crate::{
    access::{Key, Right},
    event::UserId,
};

/// The value of the metrics' label `key` for a request without a valid key.
const NO_KEY: &str = "none";

/// The caller of a request.
#[derive(Clone)]
pub struct Caller {
    denials: Arc<Denials>,
    /// The id of the request.
    id: RequestId,
    /// Whether the request came to the port for operators.
    operations: bool,
    /// The key; `None` if the service asks for none.
    key: Result<Option<Arc<Key>>, Denial>,
}

impl Caller {
    pub(super) fn new(
        denials: Arc<Denials>,
        id: RequestId,
        key: Result<Option<Arc<Key>>, Denial>,
        operations: bool,
    ) -> Self {
        Self { denials, id, operations, key }
    }

    /// The valid key of the request, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref().ok()?.as_ref()
    }

    /// Whether the caller has no valid key although the service asks for one.
    pub(super) fn is_stranger(&self) -> bool {
        self.key.is_err()
    }

    /// The id of the key as the value of a label.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.key().map_or(NO_KEY, |key| key.id.as_str())
    }

    /// The text with which the ids of all users of the caller begin, if it is not for all users.
    #[must_use]
    pub fn users_prefix(&self) -> Option<&str> {
        self.key()?.users_prefix.as_deref()
    }

    /// Whether the caller may know why the process is not ready.
    #[must_use]
    pub fn may_know_causes(&self) -> bool {
        let is_operator = |key: &Arc<Key>| key.rights.contains(Right::Operate);
        self.operations || self.key.as_ref().is_ok_and(|key| key.as_ref().is_none_or(is_operator))
    }

    /// Checks that the caller may use a route that needs `access`.
    pub fn may_use(&self, access: Access) -> Result<(), Denial> {
        self.judge(access).map_err(|denial| self.deny(denial))
    }

    /// Whether [`may_use`](Self::may_use) would succeed; nothing is counted.
    #[must_use]
    pub fn could_use(&self, access: Access) -> bool {
        self.judge(access).is_ok()
    }

    fn judge(&self, access: Access) -> Result<(), Denial> {
        let Some(right) = access.right() else { return Ok(()) };
        let Some(key) = self.key.as_ref().map_err(|denial| *denial)? else { return Ok(()) };
        if !key.rights.contains(right) {
            return Err(Denial::MissingRight(right));
        }
        let is_bound = key.users_prefix.is_some();
        if is_bound && matches!(access, Access::ReadAll | Access::Operate) {
            return Err(Denial::ForeignUser);
        }
        Ok(())
    }

    /// Checks that the caller, who may use the route, may read about `user`.
    pub fn may_read(&self, user: &UserId) -> Result<(), Denial> {
        let key = self.key.as_ref().map_err(|denial| self.deny(*denial))?;
        let prefix = key.as_ref().and_then(|key| key.users_prefix.as_deref());
        match prefix {
            Some(prefix) if !user.as_str().starts_with(prefix) => {
                Err(self.deny(Denial::ForeignUser))
            }
            _ => Ok(()),
        }
    }

    fn deny(&self, denial: Denial) -> Denial {
        self.denials.deny(denial, &self.id)
    }
}

/// The caller of a service that asks for no key.
impl Default for Caller {
    fn default() -> Self {
        Self::new(Arc::default(), RequestId::random(), Ok(None), false)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caller").field(&self.key_id()).finish()
    }
}
