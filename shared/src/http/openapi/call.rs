//! One call as it is described: what it takes, how it is answered, and an example of each that can be tried.

use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder, HeaderBuilder, HttpMethod, ObjectBuilder, OpenApi, PathItem, RefOr,
        ResponseBuilder, Schema, Type,
        example::{Example as Shown, ExampleBuilder},
        path::{Operation, OperationBuilder, Parameter},
        request_body::RequestBody,
        response::Response,
        schema::AdditionalProperties,
    },
};
use warp::http::StatusCode;

use super::{
    Tag,
    types::{Schemas, add, of},
};
use crate::http::ErrorReply;

/// One call, by its method and path.
pub struct Call {
    path: &'static str,
    method: HttpMethod,
    tag: Tag,
    operation: Operation,
    schemas: Schemas,
}

/// How a call is answered with one status.
pub struct Reply {
    response: Response,
    schemas: Schemas,
}

/// An example of a reply: the command that gets it, and what it says.
#[derive(Clone, Debug)]
pub struct Example {
    name: &'static str,
    asked: String,
    said: Value,
}

impl Call {
    /// A question.
    #[must_use]
    pub fn get(tag: Tag, path: &'static str, summary: &str, description: &str) -> Self {
        Self::new(HttpMethod::Get, tag, path, summary, description)
    }

    /// A call with a body.
    #[must_use]
    pub fn post(tag: Tag, path: &'static str, summary: &str, description: &str) -> Self {
        Self::new(HttpMethod::Post, tag, path, summary, description)
    }

    fn new(
        method: HttpMethod,
        tag: Tag,
        path: &'static str,
        summary: &str,
        description: &str,
    ) -> Self {
        let verb = if method == HttpMethod::Post { "post" } else { "get" };
        let words = if path == "/" { "root" } else { path };
        let words = words
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty());
        let operation = OperationBuilder::new()
            .tag(tag.name())
            .summary(Some(summary))
            .description(Some(description))
            .operation_id(Some(words.fold(verb.to_owned(), |id, word| format!("{id}_{word}"))))
            .build();
        Self { path, method, tag, operation, schemas: Vec::new() }
    }

    /// What it takes in its path and its query.
    #[must_use]
    pub fn taking(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        let parameters = parameters.into_iter().map(RefOr::T);
        self.operation.parameters.get_or_insert_default().extend(parameters);
        self
    }

    /// The body it takes, which is of `T`.
    #[must_use]
    pub fn with_body<T: ToSchema>(mut self, body: RequestBody) -> Self {
        add::<T>(&mut self.schemas);
        self.operation.request_body = Some(RefOr::T(body));
        self
    }

    /// One of its answers.
    #[must_use]
    pub fn answering(mut self, status: StatusCode, reply: Reply) -> Self {
        self.schemas.extend(reply.schemas.into_iter().map(|(name, schema)| (name, closed(schema))));
        self.operation
            .responses
            .responses
            .insert(status.as_str().to_owned(), RefOr::T(reply.response));
        self
    }

    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// Adds it to a description.
    pub(super) fn enter(self, document: &mut OpenApi) {
        let mut item = PathItem::default();
        match self.method {
            HttpMethod::Post => item.post = Some(self.operation),
            _ => item.get = Some(self.operation),
        }
        document.paths.paths.entry(self.path.to_owned()).or_default().merge_operations(item);
        document.components.get_or_insert_default().schemas.extend(self.schemas);
    }
}

impl Reply {
    /// A reply without any content yet.
    #[must_use]
    pub fn new(description: &str) -> Self {
        Self {
            response: ResponseBuilder::new().description(description).build(),
            schemas: Vec::new(),
        }
    }

    /// An error.
    #[must_use]
    pub fn error(description: &str, examples: impl IntoIterator<Item = Example>) -> Self {
        Self::new(description).json::<ErrorReply<'_>>(examples)
    }

    /// An error that passes, and says when it is worth trying again.
    #[must_use]
    pub fn for_now(description: &str, examples: impl IntoIterator<Item = Example>) -> Self {
        let mut reply = Self::error(description, examples);
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("After how many seconds to try again."));
        reply.response.headers.insert("Retry-After".to_owned(), RefOr::T(header.build()));
        reply
    }

    /// As JSON.
    #[must_use]
    pub fn json<T: ToSchema>(mut self, examples: impl IntoIterator<Item = Example>) -> Self {
        add::<T>(&mut self.schemas);
        self.holding("application/json", of::<T>(), examples)
    }

    /// As text of the type `media`.
    #[must_use]
    pub fn text(self, media: &str, examples: impl IntoIterator<Item = Example>) -> Self {
        self.holding(media, ObjectBuilder::new().schema_type(Type::String), examples)
    }

    fn holding(
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
    /// What the command `asked`, a line of curl's to the default address, is answered with.
    pub fn new(name: &'static str, asked: impl Into<String>, said: impl Into<Value>) -> Self {
        Self { name, asked: asked.into(), said: said.into() }
    }

    /// As [`new`](Self::new), of an error; its name is its code.
    pub fn error(code: &'static str, asked: impl Into<String>, message: &str) -> Self {
        Self::error_as(code, code, asked, message)
    }

    /// As [`error`](Self::error), by a name of its own: where a code has several examples.
    pub fn error_as(
        name: &'static str,
        code: &str,
        asked: impl Into<String>,
        message: &str,
    ) -> Self {
        Self::new(name, asked, serde_json::json!({ "error": { "code": code, "message": message } }))
    }

    fn shown(self) -> RefOr<Shown> {
        let description = if self.asked.starts_with("curl") || self.asked.contains("| curl") {
            format!("```sh\n{}\n```", self.asked)
        } else {
            self.asked
        };
        ExampleBuilder::new().description(description).value(Some(self.said)).into()
    }
}

/// What is answered has no field that is not described.
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
