//! Every limit, in one place, with its reason and its relations to the others.

/// Deepest nesting of arrays and objects that the kernel walks. Events nest 3 to 12 deep; the
/// walk recurses, and 128 frames stay far under the smallest thread stack.
pub const DEPTH_MAX: usize = 128;

/// Largest record value that is cleaned, in bytes, unless the configuration says less. Kafka's own
/// default is 1 MiB; 16 MiB leaves room for topics that raise it.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// The kernel keeps offsets into a record as `u32`.
const _: () = assert!(RECORD_BYTES_MAX < u32::MAX as usize / 2);

/// Most states that a policy's paths may compile to. 10,000 tenants with small policies stay
/// small; what reaches this is a product of wildcards, and is refused with a hint.
pub const PATH_STATES_MAX: usize = 1 << 16;

/// Most rules in one policy: rule numbers travel as `u16`.
pub const RULES_MAX: usize = 4096;
const _: () = assert!(RULES_MAX < u16::MAX as usize);

/// Records in one batch. Large enough that per-batch work (metrics, clock, offsets) vanishes,
/// small enough that a batch of 1 kB records stays inside the L2 cache's reach.
pub const BATCH_RECORDS_MAX: usize = 2048;

/// Bytes of records that a batch aims at; one that is larger by itself is a batch of its own.
pub const BATCH_BYTES: usize = 8 << 20;
