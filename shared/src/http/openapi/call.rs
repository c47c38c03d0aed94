//! The description of one call: its parameters, its replies, and examples that can be tried.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder, Deprecated, HeaderBuilder, ObjectBuilder, OpenApi, PathItem, RefOr, Schema,
        Type,
        example::{Example as Shown, ExampleBuilder},
        path::{Operation, OperationBuilder, Parameter},
        request_body::RequestBody,
        response::Response,
        schema::AdditionalProperties,
        security::SecurityRequirement,
    },
};
use warp::http::{Method, StatusCode};

use super::schema::{Schemas, register, schema_ref};
use crate::http::reply::{ErrorReply, HttpError};

/// The groups of calls, in the order of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tag {
    /// Sending events.
    Events,
    /// Queries about sessions.
    Queries,
    /// The calls of the seeds.
    Legacy,
    /// Health, metrics and this document.
    Operations,
}

/// The description of one call.
#[derive(Clone)]
pub struct Call {
    tag: Tag,
    operation: Operation,
    schemas: Schemas,
}

/// An example of a reply: the command that returns it, and the body.
#[derive(Clone, Debug)]
pub struct Example {
    name: &'static str,
    command: String,
    body: Value,
    status: StatusCode,
    passes: bool,
}

impl Tag {
    /// The name and the description.
    pub(super) fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Events => ("Events", "Send events. The reply comes once they are durable."),
            Self::Queries => ("Queries", "Query session starts, and the sessions of a user."),
            Self::Legacy => ("Legacy", "The same functions for older clients."),
            Self::Operations => ("Operations", "Health checks, metrics and this document."),
        }
    }
}

impl Call {
    /// A call without parameters and replies. `id` is the name of its function in generated
    /// clients; calls of older clients are deprecated.
    #[must_use]
    pub fn new(tag: Tag, id: &str, summary: &str, description: &str) -> Self {
        let operation = OperationBuilder::new().tag(tag.texts().0).operation_id(Some(id));
        let old = (tag == Tag::Legacy).then_some(Deprecated::True);
        let operation = operation.deprecated(old);
        let operation = operation.summary(Some(summary)).description(Some(description));
        Self { tag, operation: operation.build(), schemas: Vec::new() }
    }

    /// Adds parameters of the path and the query.
    #[must_use]
    pub fn taking(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        let parameters = parameters.into_iter().map(RefOr::T);
        self.operation.parameters.get_or_insert_default().extend(parameters);
        self
    }

    /// Adds the request body, a `T`.
    #[must_use]
    pub fn with_body<T: ToSchema>(mut self, body: RequestBody) -> Self {
        register::<T>(&mut self.schemas);
        self.operation.request_body = Some(RefOr::T(body));
        self
    }

    /// Adds a reply that is a `T` as JSON. The status is that of the examples. A second reply with
    /// the same status adds a media type, and its description is not used.
    #[must_use]
    pub fn json<T: ToSchema>(self, about: &str, examples: impl Into<Vec<Example>>) -> Self {
        let (mut call, mut schemas) = (self, Vec::new());
        register::<T>(&mut schemas);
        call.schemas.extend(schemas.into_iter().map(|(name, schema)| (name, closed(schema))));
        call.reply(about, "application/json", schema_ref::<T>(), examples.into())
    }

    /// Adds a reply that is text of the type `media`. The status is that of the example.
    #[must_use]
    pub fn text(self, about: &str, media: &str, example: Example) -> Self {
        self.reply(about, media, ObjectBuilder::new().schema_type(Type::String), vec![example])
    }

    /// Adds the replies with errors, one for each status among the examples.
    #[must_use]
    pub fn failing(self, examples: impl IntoIterator<Item = Example>) -> Self {
        let mut statuses = BTreeMap::<_, Vec<_>>::new();
        for example in examples {
            statuses.entry(example.status).or_default().push(example);
        }
        let replies = statuses.into_iter();
        replies.fold(self, |call, (status, all)| call.json::<ErrorReply<'_>>(meaning(status), all))
    }

    fn reply(
        mut self,
        about: &str,
        media: &str,
        schema: impl Into<RefOr<Schema>>,
        examples: Vec<Example>,
    ) -> Self {
        let status = examples.first().map_or(StatusCode::OK, |example| example.status);
        let passes = examples.iter().any(|example| example.passes);
        let examples = examples.into_iter().map(|example| (example.name, example.shown()));
        let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples);
        let responses = self.operation.responses.responses.entry(status.as_str().to_owned());
        let response = responses.or_insert_with(|| RefOr::T(Response::new(about)));
        if let RefOr::T(response) = response {
            response.content.insert(media.to_owned(), RefOr::T(content.build()));
            if passes {
                let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
                let header = HeaderBuilder::new()
                    .schema(Some(seconds))
                    .description(Some("The number of seconds after which to repeat the request."));
                response.headers.insert("Retry-After".to_owned(), RefOr::T(header.build()));
            }
        }
        self
    }

    /// Adds a header to the replies with `status`, if the call has any.
    #[must_use]
    pub fn with_header(mut self, status: StatusCode, name: &str, about: &str) -> Self {
        if let Some(RefOr::T(response)) =
            self.operation.responses.responses.get_mut(status.as_str())
        {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let header = HeaderBuilder::new().schema(Some(text)).description(Some(about));
            response.headers.insert(name.to_owned(), RefOr::T(header.build()));
        }
        self
    }

    /// Adds the alternatives of what callers need.
    #[must_use]
    pub(super) fn requiring(
        mut self,
        alternatives: impl IntoIterator<Item = SecurityRequirement>,
    ) -> Self {
        self.operation.security.get_or_insert_default().extend(alternatives);
        self
    }

    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// Adds the call to a document.
    pub(super) fn enter(self, method: &Method, path: &str, document: &mut OpenApi) {
        let mut item = PathItem::default();
        let operation = if *method == Method::POST { &mut item.post } else { &mut item.get };
        *operation = Some(self.operation);
        document.paths.paths.entry(path.to_owned()).or_default().merge_operations(item);
        document.components.get_or_insert_default().schemas.extend(self.schemas);
    }
}

impl Example {
    /// A reply with `body` to `command`, which is a curl command to the default address, or a
    /// sentence where no command alone brings the reply about.
    pub fn new(name: &'static str, command: impl Into<String>, body: impl Into<Value>) -> Self {
        let (command, body) = (command.into(), body.into());
        Self { name, command, body, status: StatusCode::OK, passes: false }
    }

    /// A reply with `error`.
    pub fn error(name: &'static str, command: impl Into<String>, error: &HttpError) -> Self {
        let passes = error.retry_after.is_some();
        Self { passes, ..Self::new(name, command, json!(error.body())).with(error.status) }
    }

    /// The same reply with `status` instead of 200.
    #[must_use]
    pub fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    fn shown(self) -> RefOr<Shown> {
        let description = if self.command.starts_with("curl") || self.command.contains("| curl") {
            format!("```sh\n{}\n```", self.command)
        } else {
            self.command
        };
        ExampleBuilder::new().description(description).value(Some(self.body)).into()
    }
}

/// The description of a reply with an error.
fn meaning(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "The service has keys, and the request has no valid one.",
        StatusCode::FORBIDDEN => "The key does not have the right, or is for other users.",
        StatusCode::NOT_FOUND => "No events of this session are stored.",
        StatusCode::REQUEST_TIMEOUT => "The body did not arrive in time.",
        StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The type or encoding of the body is not supported.",
        StatusCode::TOO_MANY_REQUESTS => {
            "The client is over its quota. By default, there is no quota."
        }
        StatusCode::INTERNAL_SERVER_ERROR => "The store is damaged. A repeated request fails too.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "The service is busy or unavailable. It is always safe to repeat the request."
        }
        _ => "The request is not valid.",
    }
}

/// Excludes fields of a reply that its schema does not list.
fn closed(mut schema: RefOr<Schema>) -> RefOr<Schema> {
    if let RefOr::T(Schema::Object(object)) = &mut schema
        && object.additional_properties.is_none()
        && !object.properties.is_empty()
    {
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
    schema
}
