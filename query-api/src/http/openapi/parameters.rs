//! The descriptions of parameters.
//!
//! An example fills in a form, so only one of two parameters that exclude each other has one.

use serde_json::{Value, json};
use shared::{
    event::{SessionId, UserId},
    http::openapi::schema_ref,
    session::Status,
};
use utoipa::openapi::{
    ObjectBuilder, RefOr, Required, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ArrayBuilder, SchemaFormat},
};

use super::{SESSION, USER, schema::STEPS};

/// The parameters `names` of a query string; `limit` is the default and the maximum of `limit`.
pub(super) fn query(names: &[&str], limit: (usize, usize)) -> Vec<Parameter> {
    let parameter = |name: &&str| {
        let (description, schema, example) = described(name, limit);
        parameter(name, ParameterIn::Query, description, schema, example)
    };
    names.iter().map(parameter).collect()
}

/// A user in the path.
pub(super) fn user() -> Parameter {
    let about = "The user. A slash in the id is written as `%2F`.";
    parameter("user_id", ParameterIn::Path, about, schema_ref::<UserId>(), Some(json!(USER)))
}

/// A session in the path.
pub(super) fn session() -> Parameter {
    let (name, schema) = ("session_id", schema_ref::<SessionId>());
    let about = "The session. A slash in the id is written as `%2F`.";
    parameter(name, ParameterIn::Path, about, schema, Some(json!(SESSION)))
}

fn parameter(
    name: &str,
    place: ParameterIn,
    description: &str,
    schema: RefOr<Schema>,
    example: Option<Value>,
) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
        .example(example)
        .build()
}

/// The description, the schema and the example of a parameter of a query string.
fn described(
    name: &str,
    (default, most): (usize, usize),
) -> (&'static str, RefOr<Schema>, Option<Value>) {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let time = || text().format(Some(SchemaFormat::Custom("date-time".to_owned())));
    let length = |most: i32| {
        let number = ObjectBuilder::new().schema_type(Type::Number);
        number.exclusive_minimum(Some(0)).maximum(Some(most)).into()
    };
    match name {
        "days" => (
            "The length of the window in days: above 0 and at most 365, fractions allowed. The \
             window ends 5 minutes after now, so that it includes starts from clients whose clocks \
             run ahead.",
            length(365),
            Some(json!(170)),
        ),
        "hours" => ("The length of the window in hours, instead of `days`.", length(8_760), None),
        "from" => (
            "The first instant of the window, instead of `days`: a time in the format of RFC 3339.",
            time().into(),
            None,
        ),
        "to" => (
            "The first instant after the window. Without it, the window ends now.",
            time().into(),
            None,
        ),
        "country" => (
            "A country to include; repeat the parameter for several. Without it, the reply includes \
             every known country. Each included country is a key of the reply.",
            ArrayBuilder::new().items(text()).into(),
            None,
        ),
        "limit" => (
            "The largest number of rows on a page.",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1))
                .maximum(Some(most))
                .default(Some(json!(default)))
                .into(),
            None,
        ),
        "cursor" => (
            "The `next` of the previous page. Repeat the other parameters of that query.",
            text().into(),
            None,
        ),
        "step" => (
            "The length of the slots in which starts are counted. Without it, each country has one \
             number. Slots of a minute need a window of at most 2 days.",
            text().enum_values(Some(STEPS)).into(),
            None,
        ),
        "status" => (
            "The status of the sessions to list. Without it, the reply lists complete sessions.",
            schema_ref::<Status>(),
            None,
        ),
        "user_id" => ("The user.", schema_ref::<UserId>(), Some(json!(USER))),
        _ => ("Another name of `user_id`; give only one of them.", schema_ref::<UserId>(), None),
    }
}
