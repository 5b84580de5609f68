//! Releases as trees of entities: those of the constructed files, and a larger one that a seed makes.

use crate::web::made_up::Dice;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What all URIs begin with, wherever they were asked for: http, though the API is https.
pub(crate) const URI: &str = "http://id.who.int/icd/release/10";

const FILES: [&str; 8] = [
    include_str!("constructed/release_2019.json"),
    include_str!("constructed/I.json"),
    include_str!("constructed/A00-A09.json"),
    include_str!("constructed/A00.json"),
    include_str!("constructed/A00.0.json"),
    include_str!("constructed/A00.1.json"),
    include_str!("constructed/A00.9.json"),
    include_str!("constructed/A09.json"),
];

const CHAPTERS: [&str; 21] = [
    "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI", "XVII", "XVIII",
    "XIX", "XX", "XXI", "XXII",
];

/// How large a made-up tree is. The largest has 21 chapters of 9 blocks: letters and digits end there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) chapters: usize,
    /// In each chapter; every third has a block in it that holds the half of its categories.
    pub(crate) blocks: usize,
    /// In each block, up to 10.
    pub(crate) categories: usize,
    /// In each category, up to 10; every fourth category has none and is a leaf of three characters.
    pub(crate) leaves: usize,
}

impl Size {
    pub(crate) const SMALL: Size = Size { chapters: 2, blocks: 3, categories: 4, leaves: 3 };
    /// About as many concepts as ICD-10 has.
    pub(crate) const FULL: Size = Size { chapters: 21, blocks: 9, categories: 10, leaves: 9 };
}

/// Entities by release and code; a release itself by the code "".
#[derive(Debug, Clone)]
pub(crate) struct Tree(pub(super) BTreeMap<String, BTreeMap<String, Value>>);

impl Tree {
    /// One chapter of the release 2019, as the API shows it today.
    pub(crate) fn constructed() -> Tree {
        let mut tree = Tree(BTreeMap::new());
        for file in FILES {
            let entity: Value = serde_json::from_str(file).unwrap();
            let place = entity["@id"].as_str().unwrap().strip_prefix(URI).unwrap().trim_start_matches('/');
            let (release, code) = place.split_once('/').unwrap_or((place, ""));
            tree.0.entry(release.to_owned()).or_default().insert(code.to_owned(), entity.clone());
        }
        tree
    }

    /// With so much more from a seed.
    pub(crate) fn grown(seed: u64, release: &str, size: Size) -> Tree {
        let mut tree = Tree::constructed();
        let mut dice = Dice::new(seed);
        if !tree.0.contains_key(release) {
            let top = json!({
                "@context": "http://id.who.int/icd/contexts/contextForTopLevel.json", "@id": format!("{URI}/{release}"),
                "title": title(&format!("A made-up release {release}")), "releaseDate": format!("{release}-02-01"),
                "child": [], "browserUrl": format!("http://apps.who.int/classifications/icd10/browse/{release}/en"),
            });
            tree.0.entry(release.to_owned()).or_default().insert(String::new(), top);
        }
        // No A, which is in the files.
        let letters: Vec<char> = ('B'..='Z').collect();
        for (chapter, letter) in CHAPTERS.into_iter().zip(letters).take(size.chapters) {
            tree.add(release, "", entity(release, chapter, "chapter", &dice.word(4)));
            for ten in 1..=size.blocks.min(9) {
                let last = size.categories.clamp(1, 10) - 1;
                let block = format!("{letter}{ten}0-{letter}{ten}{last}");
                tree.add(release, chapter, entity(release, &block, "block", &dice.word(4)));
                let half = last / 2 + 1;
                let is_nested = ten % 3 == 0 && half < last;
                let inner = format!("{letter}{ten}{half}-{letter}{ten}{last}");
                if is_nested {
                    tree.add(release, &block, entity(release, &inner, "block", &dice.word(4)));
                }
                for one in 0..=last {
                    let code = format!("{letter}{ten}{one}");
                    let above = if is_nested && one >= half { &inner } else { &block };
                    tree.add(release, above, category(release, &code, &mut dice));
                    let leaves = if one % 4 == 3 { 0 } else { size.leaves.min(10) };
                    for leaf in 0..leaves {
                        let leaf = category(release, &format!("{code}.{leaf}"), &mut dice);
                        tree.add(release, &code, leaf);
                    }
                }
            }
        }
        tree
    }

    /// Puts an entity below another one.
    pub(crate) fn add(&mut self, release: &str, above: &str, mut entity: Value) {
        let code = entity["code"].as_str().unwrap().to_owned();
        let entities = self.0.get_mut(release).unwrap();
        let parent = entities.get_mut(above).unwrap();
        entity["parent"] = json!([parent["@id"]]);
        let uri = entity["@id"].clone();
        match parent.get_mut("child").and_then(Value::as_array_mut) {
            Some(children) => children.push(uri),
            None => parent["child"] = json!([uri]),
        }
        entities.insert(code, entity);
    }

    /// Takes an entity out, and what is below it with it.
    pub(crate) fn remove(&mut self, release: &str, code: &str) {
        let uri = Value::from(format!("{URI}/{release}/{code}"));
        let entities = self.0.get_mut(release).unwrap();
        let Some(gone) = entities.remove(code) else { return };
        for entity in entities.values_mut() {
            if let Some(children) = entity.get_mut("child").and_then(Value::as_array_mut) {
                children.retain(|child| *child != uri);
            }
        }
        let prefix = format!("{URI}/{release}/");
        let below = gone["child"].as_array().into_iter().flatten().filter_map(Value::as_str);
        below.filter_map(|child| child.strip_prefix(&prefix)).for_each(|code| self.remove(release, code));
    }

    /// With one release more, in which there is nothing.
    pub(crate) fn bare(mut tree: Tree, release: &str) -> Tree {
        let top = json!({
            "@context": "http://id.who.int/icd/contexts/contextForTopLevel.json", "@id": format!("{URI}/{release}"),
            "title": title("A made-up release"), "releaseDate": "2020-02-01", "child": [],
        });
        tree.0.entry(release.to_owned()).or_default().insert(String::new(), top);
        tree
    }

    pub(crate) fn change(&mut self, release: &str, code: &str, change: impl FnOnce(&mut Value)) {
        change(self.0.get_mut(release).unwrap().get_mut(code).unwrap());
    }

    /// The codes of a release, without the release itself.
    pub(crate) fn codes(&self, release: &str) -> Vec<String> {
        let codes = self.0.get(release).into_iter().flat_map(BTreeMap::keys);
        codes.filter(|code| !code.is_empty()).cloned().collect()
    }
}

fn title(text: &str) -> Value {
    json!({ "@language": "en", "@value": text })
}

/// An entity of an ICD-10 release. Its parent is whose child it becomes.
pub(crate) fn entity(release: &str, code: &str, kind: &str, text: &str) -> Value {
    json!({
        "@context": "http://id.who.int/icd/contexts/contextForICD10Entity.json",
        "@id": format!("{URI}/{release}/{code}"), "title": title(text), "code": code, "classKind": kind,
        "browserUrl": format!("http://apps.who.int/classifications/icd10/browse/{release}/en#/{code}"),
    })
}

/// A category with some of what categories may say.
fn category(release: &str, code: &str, dice: &mut Dice) -> Value {
    let mut category = entity(release, code, "category", &dice.word(5));
    let label = |dice: &mut Dice| json!({ "label": title(&dice.word(3)) });
    if dice.once_in(3) {
        category["inclusion"] = json!([label(dice), label(dice)]);
    }
    if dice.once_in(4) {
        category["exclusion"] = json!([label(dice)]);
    }
    if dice.once_in(5) {
        category["definition"] = title(&dice.word(9));
    }
    if dice.once_in(9) {
        category["usage"] = dice.one(&["dagger", "asterisk"]).into();
    }
    // A leaf has no children, or says so.
    if dice.once_in(2) {
        category["child"] = json!([]);
    }
    category
}
