//! Every fault's code, in one place: its title, what it means, a wrong and a right example.
//!
//! Codes are printed, searched for and linked to, so they are never reused and never renumbered:
//! a new fault takes the next free number of its family. `C` configuration, `K` keyring, `P`
//! policy, `Y` the shape of any of these files. The reference in docs/generated is made from here,
//! and a test runs the examples.

mod configuration;
mod keyring;

/// One code.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// The code.
    pub code: &'static str,
    /// Three to eight words.
    pub title: &'static str,
    /// Why it is refused and what to do, a sentence or three.
    pub explanation: &'static str,
    /// A file that has this fault; empty where it takes more than a file.
    pub wrong: &'static str,
    /// The same, mended.
    pub right: &'static str,
}

/// The entry of a code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Code> {
    ALL.iter().copied().flatten().find(|entry| entry.code == code)
}

/// Every code, family by family.
pub static ALL: [&[Code]; 4] = [configuration::CODES, keyring::CODES, POLICY, YAML];

/// Policies.
static POLICY: &[Code] = &[
    Code {
        code: "P001",
        title: "not a tenant name",
        explanation: "Tenant names appear in topic names, metrics and file names: letters without \
            accents, digits, `.`, `_` and `-`, at most 128 of them.",
        wrong: "tenant: Acme GmbH\nversion: 1\nrules: []\n",
        right: "tenant: acme-gmbh\nversion: 1\nrules: []\n",
    },
    Code {
        code: "P002",
        title: "two policies for one tenant",
        explanation: "A tenant has one policy. Which of two would count could only be guessed.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P003",
        title: "an epoch without a key",
        explanation: "`epoch` says how long a pseudonym key is used; without `key` there is none.",
        wrong: "tenant: acme\nversion: 1\nepoch: 30d\nrules: []\n",
        right: "tenant: acme\nversion: 1\nkey: acme\nepoch: 30d\nrules: []\n",
    },
    Code {
        code: "P004",
        title: "an epoch that is too short or too long",
        explanation: "An epoch lasts from 1 millisecond to 100 years of record time. Write `never` \
            for pseudonyms that stay the same for ever.",
        wrong: "tenant: acme\nversion: 1\nkey: acme\nepoch: 0d\nrules: []\n",
        right: "tenant: acme\nversion: 1\nkey: acme\nepoch: never\nrules: []\n",
    },
    Code {
        code: "P005",
        title: "an unknown transform",
        explanation: "The word after `do:` is none that limpid knows. The reference of transforms \
            lists them.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: a, do: dorp}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: a, do: drop}\n",
    },
    Code {
        code: "P006",
        title: "parameters that do not go together",
        explanation: "Each parameter is fine alone, but together they cannot be followed.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P007",
        title: "a rule without fields",
        explanation: "A rule that names no path does nothing, and was surely meant to do something.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: [], do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: [a], do: drop}\n",
    },
    Code {
        code: "P008",
        title: "too many rules",
        explanation: "A policy has at most 4096 rules. Rules that do the same can share a list of \
            fields.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P009",
        title: "paths that multiply",
        explanation: "Paths are compiled to states. Several `**` in one path, or many paths with \
            `**` beside each other, multiply; name more of the members on the way.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P010",
        title: "a path with a missing name",
        explanation: "Two dots in a row, or a dot at an end: a name is missing there.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: user..email, do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.email, do: drop}\n",
    },
    Code {
        code: "P011",
        title: "a star inside a name",
        explanation: "`*` stands for one whole name and `**` for any depth; parts of names have no \
            wildcard. A name that really has a star goes in double quotes inside the path.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.mail*, do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.*, do: drop}\n",
    },
    Code {
        code: "P012",
        title: "something else than a star or a number in brackets",
        explanation: "`[*]` stands for every element of a list, `[0]` for the first, `[1]` for the \
            second, up to `[255]`. Elements are not counted from the end.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: \"ips[-1]\", do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: \"ips[*]\", do: drop}\n",
    },
    Code {
        code: "P013",
        title: "quotes inside a path",
        explanation: "A name in double quotes must be closed, be followed by a dot, a bracket or \
            the end, and knows only the escapes `\\\"` and `\\\\`.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: 'user.\"e.mail', do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: 'user.\"e.mail\"', do: drop}\n",
    },
    Code {
        code: "P014",
        title: "an unknown part of a record",
        explanation: "`$key`, `$header.NAME` and `$header.*` reach the record's key and headers. \
            A member whose name starts with `$` goes in double quotes inside the path.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: $headers.user, do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: $header.user, do: drop}\n",
    },
    Code {
        code: "P015",
        title: "a useless step beside two stars",
        explanation: "`**` already stands for any depth and reaches into lists by itself; which \
            list `[0]` would be of could only be guessed.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: \"**.**.ssn\", do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: \"**.ssn\", do: drop}\n",
    },
    Code {
        code: "P016",
        title: "a stray character in a name",
        explanation: "A quote, bracket, comma or slash in a name, or a space at its end, is more \
            likely a slip than a name: names are joined with dots, and several paths are a list. If \
            it is meant, put the name in double quotes.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: user. email, do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.email, do: drop}\n",
    },
    Code {
        code: "P020",
        title: "a path named twice",
        explanation: "The first rule that names a value decides, so the second does nothing.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: a, do: keep}\n  - {fields: a, do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: a, do: drop}\n",
    },
    Code {
        code: "P021",
        title: "a path that can never match",
        explanation: "Earlier rules name everything that this path names, so it never decides. Put \
            the narrower rule first, or take it out.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: user, do: drop}\n  - {fields: user.id, do: keep}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.id, do: keep}\n  - {fields: user, do: drop}\n",
    },
    Code {
        code: "P022",
        title: "a transform that needs a key",
        explanation: "Pseudonyms are made with a secret. Name its entry in the keyring: `key: NAME`.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.id, do: pseudonymize}\n",
        right: "tenant: acme\nversion: 1\nkey: acme\nrules:\n  - {fields: user.id, do: pseudonymize}\n",
    },
    Code {
        code: "P023",
        title: "a key that the keyring lacks",
        explanation: "The keyring has no entry of that name. `limpid keys new NAME` makes one.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P024",
        title: "a key and no keyring",
        explanation: "The policy names a key, but limpid was given no keyring to find it in.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P025",
        title: "no random numbers",
        explanation: "The operating system gave no random numbers for a trial key.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P026",
        title: "a rule undone by a later one",
        explanation: "What this rule names is in an object or list that a later rule takes whole, and \
            this rule leaves nothing that would stay: only the later rule shows. Take this one out, \
            or `keep` what is to stay.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.mail, do: redact}\n  - {fields: user, do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.id, do: keep}\n  - {fields: user, do: drop}\n",
    },
    Code {
        code: "P027",
        title: "a rule for two things at once",
        explanation: "`do` says what becomes of the values that a rule names, `rename_keys` what becomes \
            of the names of an object's members, `inside` which texts are read as JSON. Each has parameters \
            and a `mismatch` of its own, so each is a rule of its own.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: visits, do: redact, rename_keys: mask}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: visits, rename_keys: mask}\n  - {fields: \"visits.*\", do: redact}\n",
    },
    Code {
        code: "P028",
        title: "not for names",
        explanation: "`rename_keys` takes transforms that make one name of another. With `redact` or \
            `set` all members would have one name, and readers keep one of them; members go with their \
            names by `do: drop`.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: visits, rename_keys: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: \"visits.*\", do: drop}\n",
    },
    Code {
        code: "P029",
        title: "nothing there has a name",
        explanation: "`rename` gives one member another name, so its path ends with the member's name. \
            `rename_keys` names objects, and `inside` texts, in the record's value or in a key that is JSON: `$key` \
            and headers are one value, and not read as JSON.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: \"user.*\", do: rename, to: x}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: user.mail, do: rename, to: email}\n",
    },
    Code {
        code: "P030",
        title: "a test that says too little or too much",
        explanation: "A test says either what comes `out` (with `out_key` and `out_headers`) or \
            why the record is `withheld`.",
        wrong: "tenant: acme\nversion: 1\nrules: []\ntests:\n  - {name: n, in: {a: 1}}\n",
        right: "tenant: acme\nversion: 1\nrules: []\ntests:\n  - {name: n, in: {a: 1}, out: {a: 1}}\n",
    },
    Code {
        code: "P031",
        title: "test data that is no JSON",
        explanation: "The events of tests are written in YAML and turned into JSON; some numbers \
            of YAML have no counterpart there.",
        wrong: "tenant: acme\nversion: 1\nrules: []\ntests:\n  - {name: n, in: {a: 007}, out: {a: 007}}\n",
        right: "tenant: acme\nversion: 1\nrules: []\ntests:\n  - {name: n, in: {a: \"007\"}, out: {a: \"007\"}}\n",
    },
    Code {
        code: "P032",
        title: "a test of the policy fails",
        explanation: "The policy does not do what its own test says. Either is wrong: until they \
            agree, the policy is not used.",
        wrong: "tenant: acme\nversion: 1\nrules: []\ntests:\n  - {name: n, in: {a: 1}, out: {}}\n",
        right: "tenant: acme\nversion: 1\nrules: [{fields: a, do: drop}]\ntests:\n  - {name: n, in: {a: 1}, out: {}}\n",
    },
    Code {
        code: "P040",
        title: "a folder without policies",
        explanation: "No file ends in .yaml or .yml there. Without a policy every record would be \
            withheld.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P041",
        title: "a file or folder that cannot be read",
        explanation: "It does not exist, limpid may not read it, or it is not UTF-8.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P050",
        title: "a rule set that is not there",
        explanation: "`include` names a file that stands beside the policy, in the same folder.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - include: _web.yaml\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "P051",
        title: "not the name of a rule set",
        explanation: "Files that policies share begin with `_`, so that nobody takes them for a \
            policy, and stand in the policies' folder. `_base.yaml` is none of them: it holds for \
            every policy of its folder by itself.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - include: ../web.yaml\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "P052",
        title: "an unknown parameter",
        explanation: "The rule set does not take what `with` gives it.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P053",
        title: "a parameter is missing",
        explanation: "The rule set has no default for this parameter (it is declared as `~`): \
            whoever includes it must give a value.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P054",
        title: "a placeholder that cannot be filled",
        explanation: "`${name}` stands for a parameter that the rule set declares under \
            `parameters`. Alone it may stand for any value, inside a longer text for text only.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P055",
        title: "a parameter that nothing uses",
        explanation: "Who includes the rule set would believe that it has an effect.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P056",
        title: "a rule that cannot loosen the base",
        explanation: "`_base.yaml` holds for every policy of its folder. Of what the base and the \
            policy say about a value the stricter is done: `drop`, then `redact`, then pseudonyms, \
            then what shows a part, then `keep`. What the base already decides as strictly has no \
            effect in a policy.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P057",
        title: "looser than the base about what is unlisted",
        explanation: "`unlisted` in `_base.yaml` is the least that every policy of its folder does \
            with what no rule names.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P058",
        title: "a rule set that includes another",
        explanation: "What a policy says must be found in the policy and in the files that it names \
            itself. Include both in the policy.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P060",
        title: "a condition that asks nothing",
        explanation: "`when` says which fields must have which values: `event: login`, a list of values, \
            or `is`, `not` and `exists`. A value is a text, a number, `true` or `false`.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: ip, do: drop, when: {}}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: ip, do: drop, when: {event: login}}\n",
    },
    Code {
        code: "P061",
        title: "a tested field inside another",
        explanation: "A field that a condition tests, or that tells whose times a `date` moves, has one \
            value; what holds others has none.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: ip, do: drop, when: {user: jane, user.type: admin}}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: ip, do: drop, when: {user.type: admin}}\n",
    },
    Code {
        code: "P062",
        title: "conditions that multiply",
        explanation: "A policy is compiled once for every answer that a record can give. The answers \
            of each tested field multiply with those of the others.",
        wrong: "",
        right: "",
    },
    Code {
        code: "P063",
        title: "a condition that can never hold",
        explanation: "No record fulfils all of its terms, so the rule would do nothing.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: ip, do: drop, when: {event: {is: login, not: login}}}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: ip, do: drop, when: {event: login}}\n",
    },
    Code {
        code: "P064",
        title: "not a single field",
        explanation: "A condition tests one place, and one place tells whose times a `date` moves \
            (`shift_by`): names joined by dots, with `[0]`, in the record's value, or `$key`, `$key.NAME`, or \
            `$header.NAME`. Wildcards could find several values that disagree.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: ip, do: drop, when: {\"**.event\": login}}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: ip, do: drop, when: {event: login}}\n",
    },
    Code {
        code: "P065",
        title: "the key as one value and as JSON",
        explanation: "`$key` takes the record's key for one value, `$key.NAME` for JSON that has fields. A \
            policy, together with its base, does one of the two.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: $key.user, do: drop}\n  - {fields: $key, do: redact}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: $key.user, do: drop}\n  - {fields: \"$key.*\", do: redact}\n",
    },
];

/// The shape of any file.
static YAML: &[Code] = &[
    Code {
        code: "Y001",
        title: "not valid YAML",
        explanation: "The file cannot be read. Most often a path with `*` or `[` lacks its quotes, \
            a quote or bracket is not closed, or the indentation is uneven.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: [**.ssn], do: drop}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: [\"**.ssn\"], do: drop}\n",
    },
    Code {
        code: "Y002",
        title: "a key is given twice",
        explanation: "Readers would disagree about which one counts, so neither does.",
        wrong: "tenant: acme\nversion: 1\nversion: 2\nrules: []\n",
        right: "tenant: acme\nversion: 2\nrules: []\n",
    },
    Code {
        code: "Y003",
        title: "anchors and references are not accepted",
        explanation: "`&name` and `*name` make a line mean what another line says; a reviewer \
            should see what a file says where it says it.",
        wrong: "tenant: &t acme\nversion: 1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y004",
        title: "tags are not accepted",
        explanation: "What kind of value is wanted follows from the key; a tag can only contradict it.",
        wrong: "tenant: !!str acme\nversion: 1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y005",
        title: "merge keys are not accepted",
        explanation: "`<<` is no part of YAML 1.2. Write the keys out.",
        wrong: "tenant: acme\nversion: 1\nrules:\n  - {fields: a, <<: {do: drop}}\n",
        right: "tenant: acme\nversion: 1\nrules:\n  - {fields: a, do: drop}\n",
    },
    Code {
        code: "Y006",
        title: "more than one document",
        explanation: "One file holds one document: whatever follows a second `---` would be easy to miss.",
        wrong: "tenant: acme\nversion: 1\nrules: []\n---\ntenant: beta\nversion: 1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y007",
        title: "nested too deeply",
        explanation: "Nesting is bounded so that reading a file takes bounded memory.",
        wrong: "",
        right: "",
    },
    Code {
        code: "Y008",
        title: "a key that is no text",
        explanation: "YAML allows lists as keys; limpid's files have no use for them.",
        wrong: "tenant: acme\nversion: 1\nrules: []\n[a, b]: 1\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y009",
        title: "an empty file",
        explanation: "A file with nothing in it is more likely a mistake than a wish.",
        wrong: "# to be written\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y010",
        title: "an unknown key",
        explanation: "A key that limpid does not know is refused, never passed by: a misspelt \
            setting must not look as if it were in force.",
        wrong: "tenant: acme\nversion: 1\nrules: []\nunlistd: drop\n",
        right: "tenant: acme\nversion: 1\nrules: []\nunlisted: drop\n",
    },
    Code {
        code: "Y011",
        title: "a key is missing",
        explanation: "This key has no default: it must be written.",
        wrong: "version: 1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y012",
        title: "a value of the wrong kind",
        explanation: "Text, a number, a list or keys were wanted and something else was found. A \
            number that is meant as text needs quotes.",
        wrong: "tenant: 42\nversion: 1\nrules: []\n",
        right: "tenant: \"42\"\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y013",
        title: "a number out of bounds",
        explanation: "The message says which numbers are accepted.",
        wrong: "tenant: acme\nversion: -1\nrules: []\n",
        right: "tenant: acme\nversion: 1\nrules: []\n",
    },
    Code {
        code: "Y014",
        title: "not a duration or not a size",
        explanation: "Durations are a whole number and `ms`, `s`, `m`, `h` or `d`; sizes a whole \
            number and `B`, `KiB`, `MiB` or `GiB` (or `kB`, `MB`, `GB`). No space in between.",
        wrong: "tenant: acme\nversion: 1\nkey: acme\nepoch: 30 days\nrules: []\n",
        right: "tenant: acme\nversion: 1\nkey: acme\nepoch: 30d\nrules: []\n",
    },
    Code {
        code: "Y015",
        title: "not one of the accepted words",
        explanation: "The message lists the words that are accepted here.",
        wrong: "tenant: acme\nversion: 1\nunlisted: remove\nrules: []\n",
        right: "tenant: acme\nversion: 1\nunlisted: drop\nrules: []\n",
    },
];
