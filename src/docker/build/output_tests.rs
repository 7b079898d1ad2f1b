use super::super::proto::{Time, Vertex, VertexLog};
use super::*;

fn read(output: &mut Output, lines: &[&str]) -> Vec<Progress> {
    lines.iter().filter_map(|line| output.read(format!("{line}\r\n").as_bytes())).collect()
}

fn trace(vertexes: Vec<Vertex>, logs: &[&str]) -> String {
    let logs = logs.iter().map(|text| VertexLog { text: text.as_bytes().to_vec() }).collect();
    let aux = STANDARD.encode(StatusResponse { vertexes, logs }.encode_to_vec());
    serde_json::json!({"id": "moby.buildkit.trace", "aux": aux}).to_string()
}

fn step(name: &str, completed: bool, error: &str) -> Vertex {
    let completed = completed.then(Time::default);
    let digest = format!("sha256:{name}");
    Vertex { digest, name: name.into(), cached: false, started: Some(Time {}), completed, error: error.into() }
}

#[test]
fn the_classic_builder_is_read() {
    let mut output = Output::new(Mask::default());
    let progress = read(
        &mut output,
        &[
            r#"{"stream":"Step 1/2 : FROM scratch"}"#,
            r#"{"stream":"\n"}"#,
            r#"{"stream":"Step 2/2 : COPY . /"}"#,
            r#"{"aux":{"ID":"sha256:1234"}}"#,
            r#"{"stream":"Successfully built 1234\n"}"#,
        ],
    );
    let told = |done, text: &str| Progress { done, total: 2, text: text.into(), ..Progress::default() };
    assert_eq!(progress, [told(0, "FROM scratch"), told(1, "COPY . /")]);
    assert_eq!(output.result(), Ok("sha256:1234".into()));
}

#[test]
fn buildkit_is_read() {
    let mut output = Output::new(Mask::default());
    let lines = [
        trace(vec![step("[internal] load remote build context", true, "")], &[]),
        trace(vec![step("[1/2] FROM scratch", false, "")], &[]),
        trace(vec![step("[1/2] FROM scratch", true, ""), step("[2/2] RUN make", false, "")], &["cc -c a", ".c\n"]),
        r#"{"id":"moby.image.id","aux":{"ID":"sha256:5678"}}"#.to_owned(),
    ];
    let progress: Vec<_> = lines.iter().filter_map(|line| output.read(format!("{line}\n").as_bytes())).collect();
    let told = |done, total, text: &str| Progress { done, total, text: text.into(), ..Progress::default() };
    assert_eq!(progress, [told(1, 2, "[1/2] FROM scratch"), told(2, 3, "[2/2] RUN make")]);
    assert_eq!(output.result(), Ok("sha256:5678".into()));
}

#[test]
fn a_failure_comes_with_the_last_lines_and_no_more_of_them() {
    let mut output = Output::new(Mask::default());
    let lines: String = (1..=50).map(|number| format!("line {number}\n")).collect();
    read(&mut output, &[&trace(vec![step("[2/2] RUN make", false, "")], &[&lines, "the end"])]);
    read(&mut output, &[r#"{"errorDetail":{"message":"exit code: 2"},"error":"executor failed: exit code: 2"}"#]);
    let told = output.result().unwrap_err();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines[0], lines.len()), ("executor failed: exit code: 2", 1 + KEPT_LINES));
    assert_eq!((lines[1], lines[KEPT_LINES]), ("  line 32", "  the end"));
}

#[test]
fn lines_are_cut_to_what_a_screen_shows() {
    let mut output = Output::new(Mask::default());
    let wide = "x".repeat(1000);
    let text = format!("10%\r50%\rdone\n\u{1b}[31mred\u{1b}[0m\ttext\n\n  \n{wide}\n");
    read(&mut output, &[&trace(vec![], &[&text])]);
    let told = output.result().unwrap_err();
    assert_eq!(told, format!("the builder ended without an image\n  done\n  red text\n  {}", "x".repeat(KEPT_WIDTH)));
}

#[test]
fn what_comes_in_pieces_or_makes_no_sense_does_no_harm() {
    let mut output = Output::new(Mask::default());
    for piece in
        [r#"{"aux":{"ID""#, r#":"sha256:1"}"#, "}\n", "no json\n", "{\"id\":\"moby.buildkit.trace\",\"aux\":\"!!\"}\n", "{}\n"]
    {
        assert_eq!(output.read(piece.as_bytes()), None);
    }
    assert_eq!(output.result(), Ok("sha256:1".into()));
}
