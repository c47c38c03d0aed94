//! The description of one call: its parameters, its replies, and examples that can be tried.

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder, HeaderBuilder, ObjectBuilder, OpenApi, PathItem, RefOr, ResponseBuilder,
        Schema, Type,
        example::{Example as Shown, ExampleBuilder},
        path::{Operation, OperationBuilder, Parameter},
        request_body::RequestBody,
        response::Response,
        schema::AdditionalProperties,
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
    Questions,
    /// The calls of the seeds.
    Older,
    /// Health, metrics and this document.
    Process,
}

/// The description of one call.
#[derive(Clone)]
pub struct Call {
    tag: Tag,
    operation: Operation,
    schemas: Schemas,
}

/// The reply to a call with one status.
pub struct Reply {
    response: Response,
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
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Events => "Events",
            Self::Questions => "Questions",
            Self::Older => "Calls of older clients",
            Self::Process => "The process",
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Events => {
                "Send events. The reply comes only after every accepted event is durable."
            }
            Self::Questions => "Query session starts by country and the sessions of a user.",
            Self::Older => {
                "The same functions at the paths and in the formats that older clients use."
            }
            Self::Process => "Health checks, metrics and this document.",
        }
    }
}

impl Call {
    /// A call without parameters and replies.
    #[must_use]
    pub fn new(tag: Tag, summary: &str, description: &str) -> Self {
        let operation = OperationBuilder::new()
            .tag(tag.name())
            .summary(Some(summary))
            .description(Some(description))
            .build();
        Self { tag, operation, schemas: Vec::new() }
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

    /// Adds the reply with `status`.
    #[must_use]
    pub fn answering(mut self, status: StatusCode, reply: Reply) -> Self {
        self.schemas.extend(reply.schemas.into_iter().map(|(name, schema)| (name, closed(schema))));
        let responses = &mut self.operation.responses.responses;
        responses.insert(status.as_str().to_owned(), RefOr::T(reply.response));
        self
    }

    /// Adds a reply with an error; `examples` have one status, which is the status of the reply.
    #[must_use]
    pub fn failing(self, description: &str, examples: Vec<Example>) -> Self {
        let Some(&Example { status, passes, .. }) = examples.first() else { return self };
        let mut reply = Reply::new(description).json::<ErrorReply<'_>>(examples);
        if passes {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
            let header = HeaderBuilder::new()
                .schema(Some(seconds))
                .description(Some("The number of seconds after which to repeat the request."));
            reply.response.headers.insert("Retry-After".to_owned(), RefOr::T(header.build()));
        }
        self.answering(status, reply)
    }

    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// Adds the call to a document.
    pub(super) fn enter(mut self, method: &Method, path: &str, document: &mut OpenApi) {
        let words = if path == "/" { "root" } else { path };
        let words = words.split(|letter: char| !letter.is_ascii_alphanumeric());
        let verb = method.as_str().to_ascii_lowercase();
        let id = words.filter(|word| !word.is_empty()).fold(verb, |id, word| id + "_" + word);
        self.operation.operation_id = Some(id);
        let mut item = PathItem::default();
        let operation = if *method == Method::POST { &mut item.post } else { &mut item.get };
        *operation = Some(self.operation);
        document.paths.paths.entry(path.to_owned()).or_default().merge_operations(item);
        document.components.get_or_insert_default().schemas.extend(self.schemas);
    }
}

impl Reply {
    /// A reply without a body.
    #[must_use]
    pub fn new(description: &str) -> Self {
        let response = ResponseBuilder::new().description(description).build();
        Self { response, schemas: Vec::new() }
    }

    /// Adds a body that is a `T` as JSON.
    #[must_use]
    pub fn json<T: ToSchema>(mut self, examples: impl IntoIterator<Item = Example>) -> Self {
        register::<T>(&mut self.schemas);
        self.body("application/json", schema_ref::<T>(), examples)
    }

    /// Adds a body that is text of the type `media`.
    #[must_use]
    pub fn text(self, media: &str, examples: impl IntoIterator<Item = Example>) -> Self {
        self.body(media, ObjectBuilder::new().schema_type(Type::String), examples)
    }

    fn body(
        mut self,
        media: &str,
        schema: impl Into<RefOr<Schema>>,
        examples: impl IntoIterator<Item = Example>,
    ) -> Self {
        let examples = examples.into_iter().map(|example| (example.name, example.shown()));
        let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples);
        self.response.content.insert(media.to_owned(), RefOr::T(content.build()));
        self
    }
}

impl Example {
    /// A reply with `body` to `command`, which is a curl command to the default address, or a
    /// sentence where no command alone brings the reply about.
    pub fn new(name: &'static str, command: impl Into<String>, body: impl Into<Value>) -> Self {
        let (command, body) = (command.into(), body.into());
        Self { name, command, body, status: StatusCode::OK, passes: false }
    }

    /// A reply with `error`; the name of the example is the code.
    pub fn error(command: impl Into<String>, error: &HttpError) -> Self {
        Self::new(error.code, command, json!(error.body())).of(error)
    }

    /// The same reply under another name, for a code with several examples.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn of(self, error: &HttpError) -> Self {
        Self { status: error.status, passes: error.retry_after.is_some(), ..self }
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

/// Excludes fields of a reply that its schema does not list.
fn closed(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object))
            if object.additional_properties.is_none() && !object.properties.is_empty() =>
        {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}
