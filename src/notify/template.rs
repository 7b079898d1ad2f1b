//! The words of an Alert's own: minijinja templates over a [`Notice`], without loops that do not end. Pure.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};

use super::notice::{Notice, cut};
use crate::crd::AlertTemplate;

/// Steps a template may take: a hundred times what a long message needs.
const FUEL: u64 = 50_000;
/// Longest that comes of one.
const LONGEST_TITLE: usize = 200;
const LONGEST_TEXT: usize = 3500;

/// Puts an Alert's words in place of evenkeel's.
///
/// # Errors
/// A template cannot be used; why. The notice has evenkeel's own words then.
pub fn apply(template: &AlertTemplate, notice: &mut Notice) -> Result<(), String> {
    let title = template.title.as_deref().map(|text| render("title", text, notice)).transpose()?;
    let text = template.text.as_deref().map(|text| render("text", text, notice)).transpose()?;
    if let Some(title) = title {
        notice.title = cut(title.lines().next().unwrap_or_default(), LONGEST_TITLE);
    }
    if let Some(text) = text {
        notice.text = cut(&text, LONGEST_TEXT);
    }
    Ok(())
}

/// Whether templates can be used: tried on a notice that has everything.
///
/// # Errors
/// Why not.
pub fn check(template: &AlertTemplate) -> Result<(), String> {
    let full = Notice {
        incident: Some("web-crashed-1a2b3".into()),
        name: "web".into(),
        namespace: "default".into(),
        opened_at: Some(jiff::Timestamp::UNIX_EPOCH),
        downtime: Some("1m".into()),
        at: Some(jiff::Timestamp::UNIX_EPOCH),
        evidence: vec!["exit code 1".into()],
        ..Notice::default()
    };
    apply(template, &mut full.clone())
}

fn render(name: &str, template: &str, notice: &Notice) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    let rendered = environment.render_named_str(name, template, Serde(notice));
    rendered.map_err(|error| format!("template.{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(title: &str, text: &str) -> AlertTemplate {
        AlertTemplate { title: Some(title.into()), text: Some(text.into()) }
    }

    #[test]
    fn the_words_of_an_alert_take_the_place_of_ours() {
        let mut notice = Notice { name: "web".into(), evidence: vec!["a".into(), "b".into()], ..Notice::default() };
        let template = words(
            "{{ kind | upper }} {{ name }}",
            "{% for line in evidence %}- {{ line }}\n{% endfor %}{% if downtime is defined %}down {{ downtime }}{% endif %}{{ incident | default('none') }}",
        );
        apply(&template, &mut notice).unwrap();
        assert_eq!((notice.title.as_str(), notice.text.as_str()), ("OPENED web", "- a\n- b\nnone"));
    }

    #[test]
    fn a_template_that_cannot_be_used_leaves_our_words() {
        let mut notice = Notice { title: "ours".into(), text: "ours too".into(), ..Notice::default() };
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
        for (title, text) in [("{{ name", "x"), ("{{ nosuch }}", "x"), ("x", "{{ name | nosuch }}"), ("x", endless)] {
            let error = apply(&words(title, text), &mut notice).unwrap_err();
            assert!(error.starts_with("template."), "{error}");
            assert_eq!((notice.title.as_str(), notice.text.as_str()), ("ours", "ours too"));
        }
        assert!(check(&words("{{ name }} {{ downtime }}", "{{ evidence[0] }}")).is_ok());
    }
}
