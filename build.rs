//! Compiles the protos without `protoc`, and turns the `access` option of every
//! method into a table. A method without that option does not build.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

use prost::Message as _;
use protox::prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};

const PROTOS: &[&str] = &[
    "portcullis/v1/key_service.proto",
    "portcullis/v1/application_service.proto",
    "portcullis/v1/audit_service.proto",
    "portcullis/v1/service_account_service.proto",
    "portcullis/v1/webhook_service.proto",
    "portcullis/v1/error_reason.proto",
];

/// The one method that is served and not ours: its proto is Envoy's, which knows no `access`
/// option. It asks what `VerifyKey` asks, and so it needs the same.
const ENVOY: &str = "Method { path: \"/envoy.service.auth.v3.Authorization/Check\", \
    credential: Credential::SignedRequestOrToken, roles: &[Role::Verifier], any_caller: false, nonce_in_memory: true }";

/// Messages that hold a secret; `src/pb.rs` writes their `Debug` by hand.
const SECRET: &[&str] = &[
    "portcullis.v1.CreateKeyResponse",
    "portcullis.v1.CreateWebhookResponse",
    "portcullis.v1.RotateWebhookSecretResponse",
    "portcullis.v1.RotateKeyResponse",
    "portcullis.v1.VerifyKeyRequest",
    "portcullis.v1.VerifyKeyRequest.subject",
    "portcullis.v1.ReportLeakedKeyRequest",
    "portcullis.v1.GetRateLimitRequest",
    "portcullis.v1.GetRateLimitRequest.subject",
];

#[expect(clippy::disallowed_methods, reason = "cargo hands a build script its settings in the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(PROTOS)?;
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(out.join("portcullis.v1.bin"), &descriptors)?;
    fs::write(out.join("methods.rs"), method_table(&DescriptorPool::decode(descriptors.as_slice())?)?)?;

    tonic_prost_build::configure()
        .build_server(env::var_os("CARGO_FEATURE_SERVER").is_some())
        .build_client(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .skip_debug(SECRET.iter().map(|message| format!(".{message}")))
        .compile_fds(prost_types::FileDescriptorSet::decode(descriptors.as_slice())?)?;
    Ok(())
}

fn method_table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut rows = vec![ENVOY.to_owned()];
    for service in pool.services().filter(|s| s.package_name() == "portcullis.v1") {
        for method in service.methods() {
            rows.push(row(pool, &method).map_err(|e| format!("{}: {e}", method.full_name()))?);
        }
    }
    rows.sort();
    let mut text = String::from("pub static METHODS: &[Method] = &[\n");
    for row in rows {
        writeln!(text, "    {row},")?;
    }
    text.push_str("];\n");
    Ok(text)
}

fn row(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<String, Box<dyn Error>> {
    let extension = pool.get_extension_by_name("portcullis.v1.access").ok_or("no access option is defined")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return Err("has no (portcullis.v1.access) option, so nobody could say who may call it".into());
    }
    let value = options.get_extension(&extension);
    let access = value.as_message().ok_or("the access option is not a message")?;
    let credential = match number(access, "credential") {
        1 => "SignedRequest",
        2 => "SignedRequestOrToken",
        _ => return Err("its credential is unspecified".into()),
    };
    let roles: Vec<i32> = match access.get_field_by_name("roles").as_deref() {
        Some(Value::List(list)) => list.iter().filter_map(Value::as_enum_number).collect(),
        _ => Vec::new(),
    };
    let any_caller = flag(access, "any_caller");
    if roles.is_empty() != any_caller || roles.contains(&0) {
        return Err("needs either roles or any_caller".into());
    }
    let nonce_in_memory = flag(access, "nonce_in_memory");
    if nonce_in_memory && credential == "SignedRequest" {
        return Err("a mutation keeps its nonce in the database".into());
    }
    let roles: Vec<&str> = roles.iter().map(|role| role_name(*role)).collect::<Result<_, _>>()?;
    Ok(format!(
        "Method {{ path: \"/{}/{}\", credential: Credential::{credential}, roles: &[{}], any_caller: {any_caller}, nonce_in_memory: {nonce_in_memory} }}",
        method.parent_service().full_name(),
        method.name(),
        roles.join(", "),
    ))
}

fn role_name(number: i32) -> Result<&'static str, String> {
    match number {
        1 => Ok("Role::Admin"),
        2 => Ok("Role::Viewer"),
        3 => Ok("Role::Editor"),
        4 => Ok("Role::Verifier"),
        5 => Ok("Role::Watcher"),
        _ => Err(format!("role {number} is not known to build.rs")),
    }
}

fn number(message: &DynamicMessage, field: &str) -> i32 {
    message.get_field_by_name(field).and_then(|v| v.as_enum_number()).unwrap_or(0)
}

fn flag(message: &DynamicMessage, field: &str) -> bool {
    message.get_field_by_name(field).and_then(|v| v.as_bool()).unwrap_or(false)
}
