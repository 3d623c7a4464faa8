//! The OpenAPI document, made from the table of endpoints and the operation table: it cannot list what is not there.

use bodega_platform::operation::{Caller, Idempotency, Operation};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Required,
    ResponseBuilder, Type,
    path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem},
    request_body::RequestBodyBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::api::{ENDPOINTS, Endpoint, Method, Source};

/// The document of the gateway.
pub(crate) fn document() -> OpenApi {
    let paths = ENDPOINTS.iter().fold(PathsBuilder::new(), |paths, endpoint| {
        paths.path(endpoint.path, PathItem::new(method(endpoint.method), operation(endpoint)))
    });
    let paths = paths
        .path("/api/v1/services", PathItem::new(HttpMethod::Get, services()))
        .path("/webhooks/payments/{provider}", PathItem::new(HttpMethod::Post, webhook()))
        .path("/media/{name}", PathItem::new(HttpMethod::Get, plain("A picture, immutable", &[("name", Source::Path)])))
        .path("/healthz", PathItem::new(HttpMethod::Get, plain("Liveness", &[])))
        .path("/readyz", PathItem::new(HttpMethod::Get, plain("Readiness", &[])));
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Bodega gateway").version(env!("CARGO_PKG_VERSION")).description(Some(
            "For merchants, admins, integrations and payment providers. `docs/API.md` shows every write with \
                     its body.",
        )))
        .paths(paths)
        .components(Some(
            ComponentsBuilder::new().security_scheme("bearer", bearer).schema("Problem", problem()).build(),
        ))
        .build()
}

fn method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

fn operation(endpoint: &Endpoint) -> OperationBuilder {
    let row = Operation::find(endpoint.subject);
    let mut operation = plain(endpoint.summary, endpoint.fields)
        .operation_id(Some(format!("{:?}_{}", endpoint.method, endpoint.subject).to_lowercase().replace('.', "_")))
        .tag(endpoint.subject.split('.').next().unwrap_or_default())
        .description(row.map(|row| format!("Asks `{}`. {}", endpoint.subject, for_whom(row.caller))));
    if row.is_some_and(|row| row.caller != Caller::Anyone) {
        operation = operation.security(SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []));
    }
    if let Some(row) = row.filter(|row| matches!(row.idempotency, Idempotency::Key | Idempotency::OptionalKey)) {
        let required = row.idempotency == Idempotency::Key;
        operation = operation.parameter(parameter("Idempotency-Key", ParameterIn::Header, Type::String, required));
    }
    if endpoint.method.has_body() {
        let body = ContentBuilder::new().schema(Some(ObjectBuilder::new())).build();
        operation = operation.request_body(Some(RequestBodyBuilder::new().content("application/json", body).build()));
    }
    operation
}

fn for_whom(caller: Caller) -> &'static str {
    match caller {
        Caller::Anyone => "For anybody.",
        Caller::Shopper => "For sessions.",
        Caller::Account => "For signed-in accounts.",
        Caller::Merchant => "For merchants and admins.",
        Caller::Admin => "For admins.",
        Caller::Service => "For services.",
    }
}

fn services() -> OperationBuilder {
    plain("Services as they answer on the bus just now", &[])
        .description(Some(for_whom(Caller::Admin)))
        .security(SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []))
}

fn webhook() -> OperationBuilder {
    plain(
        "A payment provider tells what happened; the raw body is checked against its signature",
        &[("provider", Source::Path)],
    )
    .tag("payment")
}

/// An operation with parameters, its answer and the problem that it may answer instead.
fn plain(summary: &str, fields: &[(&'static str, Source)]) -> OperationBuilder {
    let problem = ContentBuilder::new().schema(Some(utoipa::openapi::Ref::from_schema_name("Problem"))).build();
    let parameters = fields.iter().map(|(name, source)| match source {
        Source::Path => parameter(name, ParameterIn::Path, Type::String, true),
        Source::Part(part) => parameter(part, ParameterIn::Path, Type::String, true),
        Source::Text | Source::Numbers => parameter(name, ParameterIn::Query, Type::String, false),
        Source::Number => parameter(name, ParameterIn::Query, Type::Integer, false),
        Source::Flag => parameter(name, ParameterIn::Query, Type::Boolean, false),
    });
    parameters
        .fold(OperationBuilder::new(), OperationBuilder::parameter)
        .summary(Some(summary))
        .response("200", ResponseBuilder::new().description("Done."))
        .response(
            "default",
            ResponseBuilder::new()
                .description("What went wrong, with a stable code.")
                .content("application/problem+json", problem),
        )
}

fn parameter(name: &str, place: ParameterIn, kind: Type, required: bool) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if required { Required::True } else { Required::False })
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .build()
}

fn problem() -> ObjectBuilder {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    ["type", "title", "code", "detail", "request_id"]
        .into_iter()
        .fold(ObjectBuilder::new(), |object, name| object.property(name, text()).required(name))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer))
        .required("status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_in_the_document() {
        let json = serde_json::to_value(document()).unwrap();
        for endpoint in ENDPOINTS {
            let method = format!("{:?}", endpoint.method).to_lowercase();
            let operation = &json["paths"][endpoint.path][&method];
            assert_eq!(operation["summary"], endpoint.summary, "{} {}", method, endpoint.path);
            let fields = endpoint.fields.len();
            assert!(operation["parameters"].as_array().map_or(0, Vec::len) >= fields, "{}", endpoint.path);
        }
        let activate = &json["paths"]["/api/v1/plugins/{plugin}/activate"]["post"]["parameters"][1];
        assert_eq!((&activate["name"], &activate["required"]), (&"Idempotency-Key".into(), &false.into()));
        let cancel = json["paths"]["/api/v1/orders/{order}/cancel"]["post"].to_string();
        assert!(cancel.contains("Idempotency-Key") && cancel.contains("bearer"), "{cancel}");
    }
}
