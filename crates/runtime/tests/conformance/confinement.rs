//! What an instance cannot do, seen from inside; and what nobody sees from outside.

use runtime::RuntimeFault;
use runtime::instance::{Image, Limits, Spec};
use runtime::port::Phase;

use super::{Engine, START, all_gone, converge, given, marker, reaches, ready, spec, told_by};

pub async fn it_has_no_rights_and_writes_nowhere_but_to_a_small_tmp(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("confined", 1);
    let spec = spec(image, "1", "serves");
    let spec = Spec { limits: Limits { cpu: Some(500), ..spec.limits }, ..spec };
    let told = told_by(converge(&*runtime, &spec, "x").await).await;
    let limits = ["processes", "memory", "cpu"].map(|limit| told[limit].as_str().unwrap_or_default().to_owned());
    // Half a processor is half of the kernel's period of 100 ms.
    assert_eq!(limits, ["64", "268435456", "50000"]);
    let status = told["status"].as_str().unwrap();
    let of = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap_or_else(|| panic!("no {field} in {status}")).trim().to_owned()
    };
    for capabilities in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(of(capabilities), "0000000000000000", "{capabilities}");
    }
    assert_eq!(of("NoNewPrivs"), "1");
    assert_eq!(of("Seccomp"), "2");
    assert_eq!(told["uid"], runtime::image::USER);
    assert_ne!(told["first"], "node", "somebody reaps what it leaves");
    assert_eq!(told["root"], "EROFS");
    assert_eq!(told["temporary"], "done");
    assert_eq!(told["tooMuch"], "ENOSPC");
    all_gone(&*runtime).await;
}

pub async fn one_that_takes_too_much_memory_is_ended_and_that_is_told(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("greedy", 1);
    let spec = spec(image, "1", "greedy");
    let spec = Spec { limits: Limits { memory: Some(128 << 20), ..spec.limits }, ..spec };
    runtime.create(&spec).await.unwrap();
    runtime.start(&spec.id, &given("x")).await.unwrap();
    let deadline = tokio::time::Instant::now() + START;
    let ended = loop {
        match runtime.list().await.unwrap()[0].phase {
            Phase::Ended(ended) => break ended,
            other => assert!(tokio::time::Instant::now() < deadline, "{other:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert!(ended.out_of_memory || ended.code == 137, "{ended:?}");
    all_gone(&*runtime).await;
}

pub async fn its_network_is_its_environments_and_leads_out_only_where_it_may(engine: &dyn Engine, image: &Image) {
    let (closed, open, other) =
        (engine.runtime("net-a", 1), engine.open_runtime("net-b", 1), engine.open_runtime("net-c", 1));
    let first = spec(image, "1", "serves");
    let second = spec(image, "2", "serves");
    let a = converge(&*closed, &first, "x").await;
    let b = converge(&*open, &first, "x").await;
    let beside_b = converge(&*open, &second, "x").await;
    let c = converge(&*other, &first, "x").await;
    // Whether it leads out is the engine's word: the tests' one has nothing outside.
    assert!(engine.is_closed("net-a") && !engine.is_closed("net-b"));
    assert_eq!(reaches(b, beside_b).await, "reached");
    for (from, to) in [(a, b), (b, a), (b, c), (c, b)] {
        assert_ne!(reaches(from, to).await, "reached", "{from} reaches {to}");
    }
    // The manifest says otherwise now: not while it is in use, and then it is so.
    let closed_now = engine.runtime("net-c", 1);
    assert!(matches!(closed_now.create(&second).await, Err(RuntimeFault::Refused { .. })));
    ready(&*other, &first.id).await.unwrap();
    all_gone(&*other).await;
    converge(&*closed_now, &first, "x").await;
    assert!(engine.is_closed("net-c"));
    for runtime in [closed, open, closed_now] {
        all_gone(&*runtime).await;
    }
}

pub async fn its_secrets_are_told_to_nobody_else(engine: &dyn Engine, image: &Image) {
    let runtime = engine.runtime("secret", 1);
    let spec = spec(image, "1", "serves");
    let secret = marker();
    let told = told_by(converge(&*runtime, &spec, &secret).await).await;
    assert_eq!(told["given"], secret.as_str());
    assert!(!told["environ"].as_str().unwrap().contains(&secret), "it is in what its first process was started with");
    let of_it = engine.told_of("secret", &spec.id);
    assert!(of_it.contains("for all") && !of_it.contains(&secret), "{of_it}");
    assert!(!engine.keeps(&secret));
    assert!(engine.keeps("begins as serves"), "this would not find it");
    all_gone(&*runtime).await;
}

pub async fn an_image_that_is_missing_or_is_another_one_is_refused(engine: &dyn Engine, folder: &std::path::Path) {
    let runtime = engine.runtime("images", 1);
    let wanted = super::image(folder, "wanted");
    let blob = |digest: &str| wanted.layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
    let of = |image: &Image| spec(image, "1", "serves");

    let nowhere = Image { layout: folder.join("nowhere"), ..wanted.clone() };
    assert!(matches!(runtime.create(&of(&nowhere)).await, Err(RuntimeFault::Image { .. })));

    // A layer with one bit turned, and one that was cut.
    let largest = std::fs::read_dir(wanted.layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let largest = largest.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let whole = std::fs::read(&largest).unwrap();
    let mut turned = whole.clone();
    let at = turned.len() - 5000;
    turned[at] ^= 1;
    for bad in [&turned[..], &whole[..whole.len() / 2]] {
        std::fs::write(&largest, bad).unwrap();
        let fault = runtime.create(&of(&wanted)).await.unwrap_err();
        assert!(matches!(fault, RuntimeFault::Image { .. }), "{fault:?}");
    }
    std::fs::write(&largest, &whole).unwrap();

    // Another image under the digest of this one, whole in itself.
    let other = super::image(folder, "other");
    let claimed = Image { id: wanted.id.clone(), layout: other.layout.clone() };
    assert!(matches!(runtime.create(&of(&claimed)).await, Err(RuntimeFault::Image { .. })));
    assert!(blob(&wanted.id.configuration).exists());
    assert_eq!(runtime.list().await.unwrap(), [], "nothing was made of any of them");
    converge(&*runtime, &of(&wanted), "x").await;
    all_gone(&*runtime).await;
}
