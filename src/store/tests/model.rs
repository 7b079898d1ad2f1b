//! Random sequences of writes against a plain map, reopened in between.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Spec(u8, u8),
    Status(u8, u8),
    Finalizer(u8, bool),
    Delete(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4_u8;
    prop_oneof![
        4 => name.clone().prop_map(Step::Create),
        4 => (name.clone(), 0..3_u8).prop_map(|(name, value)| Step::Spec(name, value)),
        4 => (name.clone(), 0..3_u8).prop_map(|(name, value)| Step::Status(name, value)),
        2 => (name.clone(), any::<bool>()).prop_map(|(name, on)| Step::Finalizer(name, on)),
        2 => name.prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ]
}

/// What the store must say of one object.
#[derive(Debug, Clone, Default, PartialEq)]
struct Expected {
    spec: Option<u8>,
    status: Option<u8>,
    finalizer: bool,
    deleting: bool,
    generation: i64,
}

fn seen(object: &Value) -> Expected {
    let small = |value: &Value| value.as_u64().map(|number| u8::try_from(number).unwrap());
    Expected {
        spec: small(&object["spec"]["n"]),
        status: small(&object["status"]["n"]),
        finalizer: object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty()),
        deleting: !object["metadata"]["deletionTimestamp"].is_null(),
        generation: object["metadata"]["generation"].as_i64().unwrap(),
    }
}

/// What a write makes of what is expected; `None`: it is not there (any more).
fn expect(expected: Option<Expected>, step: &Step) -> Option<Expected> {
    let Some(mut it) = expected else {
        return matches!(step, Step::Create(_)).then(|| Expected { generation: 1, ..Expected::default() });
    };
    match step {
        Step::Spec(_, value) if it.spec != Some(*value) => {
            it.spec = Some(*value);
            it.generation += 1;
            // Whatever is changed on a deleted object without finalizers: it goes.
            (!it.deleting || it.finalizer).then_some(it)
        }
        Step::Status(_, value) => {
            it.status = Some(*value);
            Some(it)
        }
        Step::Finalizer(_, on) => {
            it.finalizer = *on;
            (!it.deleting || it.finalizer).then_some(it)
        }
        Step::Delete(_) if !it.finalizer => None,
        Step::Delete(_) if !it.deleting => {
            it.deleting = true;
            it.generation += 1;
            Some(it)
        }
        _ => Some(it),
    }
}

async fn run(store: &Store, step: &Step) {
    let change = |part, name: u8, change: Box<dyn FnOnce(&mut Value) + Send>| async move {
        let change = |object: &mut Value| {
            change(object);
            Ok::<_, StoreError>(())
        };
        drop(store.modify(Kind::Deployment, &key(&format!("d{name}")), part, None, change).await);
    };
    match *step {
        Step::Create(name) => drop(store.create(Kind::Deployment, deployment(&format!("d{name}"))).await),
        Step::Spec(name, value) => change(Part::Main, name, Box::new(move |o| o["spec"]["n"] = value.into())).await,
        Step::Status(name, value) => change(Part::Status, name, Box::new(move |o| o["status"] = json!({"n": value}))).await,
        Step::Finalizer(name, on) => {
            let finalizers = if on { json!(["f"]) } else { json!([]) };
            change(Part::Main, name, Box::new(move |o| o["metadata"]["finalizers"] = finalizers)).await;
        }
        Step::Delete(name) => drop(store.delete(Kind::Deployment, &key(&format!("d{name}")), None).await),
        Step::Reopen => {}
    }
}

fn name_of(step: &Step) -> Option<u8> {
    match step {
        Step::Create(name) | Step::Spec(name, _) | Step::Status(name, _) | Step::Finalizer(name, _) | Step::Delete(name) => {
            Some(*name)
        }
        Step::Reopen => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_whatever_is_done_to_it(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        let mut model: BTreeMap<u8, Expected> = BTreeMap::new();
        let mut revision = 0;
        for step in &steps {
            runtime.block_on(run(&store, step));
            match name_of(step) {
                Some(name) => {
                    let next = expect(model.remove(&name), step);
                    model.extend(next.map(|next| (name, next)));
                }
                None => {
                    drop(store);
                    store = open(folder.path());
                }
            }
            let listing = store.list(Kind::Deployment, None).unwrap();
            let found: Vec<_> = listing.items.iter().map(|object| seen(object)).collect();
            prop_assert_eq!(found, model.values().cloned().collect::<Vec<_>>(), "after {:?}", step);
            prop_assert!(listing.revision >= revision);
            prop_assert!(listing.items.iter().all(|object| version(object) <= listing.revision));
            revision = listing.revision;
        }
    }
}
