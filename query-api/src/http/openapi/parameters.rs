//! The descriptions of parameters.
//!
//! An example fills in a form, so only one of two parameters that exclude each other has one.

use serde_json::json;
use shared::{
    event::{SessionId, UserId},
    http::openapi::schema_ref,
    session::Status,
    timestamp::{DAY, HOUR, RETENTION},
};
use utoipa::openapi::{
    ObjectBuilder, RefOr, Required, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ArrayBuilder, SchemaFormat},
};

use super::{SESSION, Step, USER};
use crate::http::starts::TOP;

/// The parameters `names` of a query string; `limit` is the default and the maximum of `limit`.
pub(super) fn query(names: &[&str], limit: (usize, usize)) -> Vec<Parameter> {
    names.iter().map(|name| parameter(name, limit, ParameterIn::Query, Required::False)).collect()
}

/// The parameters `names` of a query string that it must have.
pub(super) fn required(names: &[&str]) -> Vec<Parameter> {
    names.iter().map(|name| parameter(name, (0, 0), ParameterIn::Query, Required::True)).collect()
}

/// The parameters `names` of a path.
pub(super) fn path(names: &[&str]) -> Vec<Parameter> {
    names.iter().map(|name| parameter(name, (0, 0), ParameterIn::Path, Required::True)).collect()
}

fn parameter(
    name: &str,
    limit: (usize, usize),
    place: ParameterIn,
    required: Required,
) -> Parameter {
    let (description, schema) = described(name, limit);
    let example = match name {
        "days" => Some(json!(170)),
        "user_id" => Some(json!(USER)),
        "session_id" => Some(json!(SESSION)),
        _ => None,
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
        .example(example)
        .build()
}

/// The description and the schema of a parameter.
fn described(name: &str, (default, most): (usize, usize)) -> (&'static str, RefOr<Schema>) {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let time = || text().format(Some(SchemaFormat::Custom("date-time".to_owned()))).into();
    let length = |unit: i64| {
        let number = ObjectBuilder::new().schema_type(Type::Number);
        number.exclusive_minimum(Some(0)).maximum(Some((RETENTION / unit) as i32)).into()
    };
    let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let limit = limit.maximum(Some(most)).default(Some(json!(default)));
    let days = "The length of the window in days: above 0 and at most 365, fractions allowed. The \
                window ends 5 minutes after now, to include starts from clients whose clocks are \
                fast.";
    let country = "A country to include; repeat the parameter for several. By default, the reply \
                   includes every known country. Each included country is a key of a page.";
    let top = "The number of countries to include, those with the most starts. `others` has the \
               starts of all others.";
    let step = "The length of the slots of time. By default, each country has one number. Slots of \
                a minute need a window of at most 2 days (the 5 minutes after now do not count).";
    let cursor = "The `next` of the previous page. Repeat the other parameters of that query.";
    match name {
        "days" => (days, length(DAY)),
        "hours" => ("The length of the window in hours, instead of `days`.", length(HOUR)),
        "from" => ("The first instant of the window in RFC 3339, instead of `days`.", time()),
        "to" => ("The first instant after the window in RFC 3339. By default, it is now.", time()),
        "country" => (country, ArrayBuilder::new().items(text()).into()),
        "limit" => ("The largest number of rows on a page.", limit.into()),
        "cursor" => (cursor, text().into()),
        "step" => (step, schema_ref::<Step>()),
        "top" => {
            let number = ObjectBuilder::new().schema_type(Type::Integer);
            (top, number.minimum(Some(1)).maximum(Some(TOP)).into())
        }
        "status" => {
            ("The status of the sessions. The default is `complete`.", schema_ref::<Status>())
        }
        "user_id" => ("The user. In a path, write a slash as `%2F`.", schema_ref::<UserId>()),
        "session_id" => {
            ("The session. In a path, write a slash as `%2F`.", schema_ref::<SessionId>())
        }
        _ => ("Another name of `user_id`. Give only one of them.", schema_ref::<UserId>()),
    }
}
