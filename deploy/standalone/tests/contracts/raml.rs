//! `specification/userAPIs.raml` is what `specification/raml` generates from the OpenAPI document.
//! That it is valid RAML, and its examples are of their types, `specification/check` verifies.

use std::process::Command;

#[test]
fn the_raml_is_generated_from_the_openapi_document() {
    let script = format!("{}/../../specification/raml", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3").args([&script, "--check"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
