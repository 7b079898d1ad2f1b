//! What containers use, as it is sampled.

use serde_json::{Value, json};

use crate::support::{Operator, Sandbox, check, eventually, secs, service};

#[test]
fn what_is_used_is_sampled_and_kept() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let busy =
        service::with(service::sleeper(&sandbox.image()), json!({"command": ["sh", "-c", "while :; do :; done"], "cpus": 0.5}));
    let services = json!({"busy": busy, "idle": service::sleeper(&sandbox.image())});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    operator.wait_ready("web");

    let figure = |replica: &str, field: &str| -> Result<f64, String> {
        let used: Value = serde_json::from_str(&operator.evenkeel(&["top", "web", "--since", "10m", "-o", "json"])).unwrap();
        let replicas = used["replicas"].as_array().into_iter().flatten();
        let points = replicas.filter(|one| one["name"] == replica).flat_map(|one| one["points"].as_array().unwrap());
        let newest = points.last().ok_or_else(|| used.to_string())?;
        newest[field].as_f64().ok_or_else(|| newest.to_string())
    };
    eventually(secs(40), "the busy one is seen at work", || {
        let (busy, idle) = (figure("busy-1", "cpuPercent")?, figure("idle-1", "cpuPercent")?);
        // It may have half a CPU, and gets less where the machine has other work.
        check(busy > 10.0 && busy < 80.0 && idle < 5.0, || format!("busy {busy}, idle {idle}"))
    });
    assert!(figure("idle-1", "memoryBytes").unwrap() > 0.0 && figure("idle-1", "pids").unwrap() >= 1.0);

    let table = operator.evenkeel(&["top", "--since", "10m"]);
    assert!(table.contains("CPU MEAN") && table.contains("busy-1"), "{table}");
    let host = eventually(secs(30), "the machine was sampled", || {
        let host = operator.evenkeel(&["top", "--host"]);
        check(host.contains("Memory:") && host.contains("Disk:"), || host.clone()).map(|()| host)
    });
    assert!(host.contains("Load:"), "{host}");

    let pods = operator.api().get("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods").unwrap();
    let text = pods.body.to_string();
    assert!(text.contains("web-busy-1") && text.contains("web-idle-1"), "{text}");
}
