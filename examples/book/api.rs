//! Services, messages and enums with the comments of the protos, and who may call what.

use std::{collections::HashMap, fmt::Write as _};

use portcullis::{
    auth::{Credential, METHODS},
    pb::FILE_DESCRIPTOR_SET,
};
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use super::{Failed, escaped};

const PACKAGE: &str = "portcullis.v1";

/// Numbers of fields in descriptor.proto, by which the comments of a file are found.
mod at {
    pub(super) const FILE_MESSAGE: i32 = 4;
    pub(super) const FILE_ENUM: i32 = 5;
    pub(super) const FILE_SERVICE: i32 = 6;
    pub(super) const MESSAGE_FIELD: i32 = 2;
    pub(super) const MESSAGE_NESTED: i32 = 3;
    pub(super) const MESSAGE_ENUM: i32 = 4;
    pub(super) const SERVICE_METHOD: i32 = 2;
    pub(super) const ENUM_VALUE: i32 = 2;
}

pub(super) fn page() -> Result<String, Failed> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)?;
    let files: Vec<_> = set.file.iter().filter(|file| file.package() == PACKAGE).map(File::of).collect();
    let mut text = format!(
        "# API\n\nMade from the protos and their comments; the package is `{PACKAGE}`. How a call proves itself is under \
         [Callers](callers.md), what an error means under [Errors](errors.md).\n"
    );
    for file in &files {
        for (place, service) in (0..).zip(&file.proto.service) {
            file.service(service, &[at::FILE_SERVICE, place], &mut text);
        }
    }
    text.push_str("\n## Messages\n");
    for file in &files {
        for (place, message) in (0..).zip(&file.proto.message_type) {
            file.message(message, "", &[at::FILE_MESSAGE, place], &mut text);
        }
    }
    text.push_str("\n## Enums\n");
    for file in &files {
        for (place, kind) in (0..).zip(&file.proto.enum_type) {
            file.kind(kind, "", &[at::FILE_ENUM, place], &mut text);
        }
    }
    Ok(text)
}

struct File<'a> {
    proto: &'a FileDescriptorProto,
    comments: HashMap<&'a [i32], String>,
}

impl<'a> File<'a> {
    fn of(proto: &'a FileDescriptorProto) -> Self {
        let places = proto.source_code_info.iter().flat_map(|info| &info.location);
        let said = |place: &'a prost_types::source_code_info::Location| {
            let comment = [place.leading_comments(), place.trailing_comments()].map(str::trim).join("\n");
            let lines: Vec<_> = comment.lines().map(str::trim).collect();
            (place.path.as_slice(), escaped(lines.join("\n").trim()))
        };
        Self { proto, comments: places.map(said).filter(|(_, comment)| !comment.is_empty()).collect() }
    }

    fn comment(&self, path: &[i32]) -> &str {
        self.comments.get(path).map_or("", String::as_str)
    }

    fn service(&self, service: &ServiceDescriptorProto, path: &[i32], text: &mut String) {
        let _ = write!(text, "\n## {}\n\n{}\n", service.name(), self.comment(path));
        for (place, method) in (0..).zip(&service.method) {
            let comment = self.comment(&[path, &[at::SERVICE_METHOD, place]].concat()).to_owned();
            let stream = if method.server_streaming() { "a stream of " } else { "" };
            let _ = write!(
                text,
                "\n### {}\n\n{comment}\n\n{} → {stream}{}. {}\n",
                method.name(),
                linked(method.input_type()),
                linked(method.output_type()),
                access(service.name(), method.name()),
            );
        }
    }

    fn message(&self, message: &DescriptorProto, within: &str, path: &[i32], text: &mut String) {
        if message.options.as_ref().is_some_and(|options| options.map_entry()) {
            return;
        }
        let name = format!("{within}{}", message.name());
        let _ = write!(text, "\n### {name}\n\n{}\n", self.comment(path));
        if !message.field.is_empty() {
            text.push_str("\n| Field | Type | No. | |\n|---|---|---|---|\n");
        }
        for (place, field) in (0..).zip(&message.field) {
            let comment = in_a_cell(self.comment(&[path, &[at::MESSAGE_FIELD, place]].concat()));
            let one_of = field.oneof_index.filter(|_| !field.proto3_optional());
            let one_of = one_of.and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
            let one_of = one_of.map(|one_of| format!("One of `{}`. ", one_of.name())).unwrap_or_default();
            let kind = kind_of(field, message);
            let _ = writeln!(text, "| `{}` | {kind} | {} | {one_of}{comment} |", field.name(), field.number());
        }
        for (place, nested) in (0..).zip(&message.nested_type) {
            self.message(nested, &format!("{name}."), &[path, &[at::MESSAGE_NESTED, place]].concat(), text);
        }
        for (place, nested) in (0..).zip(&message.enum_type) {
            self.kind(nested, &format!("{name}."), &[path, &[at::MESSAGE_ENUM, place]].concat(), text);
        }
    }

    fn kind(&self, kind: &EnumDescriptorProto, within: &str, path: &[i32], text: &mut String) {
        let _ = write!(text, "\n### {within}{}\n\n{}\n", kind.name(), self.comment(path));
        text.push_str("\n| Value | No. | |\n|---|---|---|\n");
        for (place, value) in (0..).zip(&kind.value) {
            let comment = in_a_cell(self.comment(&[path, &[at::ENUM_VALUE, place]].concat()));
            let _ = writeln!(text, "| `{}` | {} | {comment} |", value.name(), value.number());
        }
    }
}

/// Who may call it, from the table that the server itself goes by.
fn access(service: &str, method: &str) -> String {
    let path = format!("/{PACKAGE}.{service}/{method}");
    let Some(method) = METHODS.iter().find(|method| method.path == path) else {
        return String::new();
    };
    let proof = match method.credential {
        Credential::SignedRequest => "a signed request",
        Credential::SignedRequestOrToken => "a signed request or a token",
    };
    let roles: Vec<_> = method.roles.iter().map(|role| role.name()).collect();
    let roles =
        if method.any_caller { "any service account".to_owned() } else { format!("{}, ADMIN", roles.join(", ")) };
    let roles = roles.replace("ADMIN, ADMIN", "ADMIN");
    format!("Needs {proof}, of: {roles}.")
}

fn kind_of(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let entry = message.nested_type.iter().find(|nested| {
        nested.options.as_ref().is_some_and(|options| options.map_entry())
            && field.type_name().ends_with(&format!(".{}.{}", message.name(), nested.name()))
    });
    if let Some([key, value]) = entry.map(|entry| entry.field.as_slice()) {
        return format!("map of {} to {}", kind_of(key, message), kind_of(value, message));
    }
    let kind = match field.r#type() {
        Type::Message | Type::Enum => linked(field.type_name()),
        plain => plain.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    match field.label() {
        Label::Repeated => format!("list of {kind}"),
        _ if field.proto3_optional() => format!("optional {kind}"),
        _ => kind,
    }
}

/// A name of ours leads to where it is described; a well-known one is its name.
fn linked(full: &str) -> String {
    let full = full.trim_start_matches('.');
    match full.strip_prefix(&format!("{PACKAGE}.")) {
        Some(ours) => format!("[`{ours}`](#{})", ours.to_lowercase().replace('.', "")),
        None => format!("`{full}`"),
    }
}

fn in_a_cell(comment: &str) -> String {
    comment.replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ")
}
