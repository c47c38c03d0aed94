//! Settings as lines of a configuration file.

use super::{
    Settings, Source,
    setting::{Kind, LIST_SEPARATOR, Setting},
};

impl Setting {
    /// The setting with `value`, a text as in a variable, as a line of the configuration file.
    #[must_use]
    pub fn in_file(&self, value: &str) -> String {
        let text = |value: &str| toml::Value::from(value).to_string();
        let is_bare = value.parse().is_ok_and(|number: i64| number.to_string() == value)
            || self.kind == Kind::Switch;
        let value = match self.kind {
            Kind::List => {
                let values = value.split(LIST_SEPARATOR).filter(|value| !value.is_empty());
                format!("[{}]", values.map(text).collect::<Vec<_>>().join(", "))
            }
            _ if is_bare => value.to_owned(),
            _ => text(value),
        };
        format!("{} = {value}", self.name)
    }
}

impl Settings {
    /// The values of `settings` as a configuration file. Each line ends with the source of its
    /// value; defaults are comments. Secrets and values that may contain one are not shown.
    #[must_use]
    pub fn shown(&self, settings: &[Setting]) -> String {
        let values = settings.iter().filter_map(|setting| {
            let (value, source) = self.given.get(setting.name)?;
            Some(match source {
                Source::Default(_) if setting.is_secret() => {
                    format!("# {} is not set: {}", setting.name, setting.variable())
                }
                Source::Default(_) => format!("# {}  # default", setting.in_file(value)),
                _ if setting.redacted => format!("# {} = [redacted]  # {source}", setting.name),
                _ => format!("{}  # {source}", setting.in_file(value)),
            })
        });
        values.fold(String::new(), |text, line| text + &line + "\n")
    }
}
