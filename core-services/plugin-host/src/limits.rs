//! Every limit of the plugin host, with its unit in the name.

use std::time::Duration;

/// Bytes of a component.
pub use bodega_domain::limits::PLUGIN_BYTES_MAX;

/// Bytes of one frame on the pipe: a component in base64, or 32 calls over a cart of 200 lines, with room.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Calls of one batch: more plugins than a shop's quote will ever ask, few enough for one reply.
pub const CALLS_MAX: usize = 32;

/// Fuel of a call whatever the cart, in units of about one instruction: reading a configuration of the largest size
/// and a small cart takes less than a tenth of it.
pub const FUEL_BASE: u64 = 2_000_000;
/// Fuel that each line of the cart adds. The examples use some 6,000 a line; 200 lines make 12 million, some
/// ten milliseconds.
pub const FUEL_PER_LINE: u64 = 50_000;
/// Linear memory of an instance in bytes: a cart of 200 lines is some 100 KB of it.
pub const MEMORY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Elements of a table: what compilers of larger languages put there for their function pointers.
pub const TABLE_ELEMENTS_MAX: usize = 16_384;
/// Bytes of the WebAssembly stack.
pub const STACK_BYTES_MAX: usize = 512 * 1024;
/// Core modules in one component: the plugin and what its tool puts beside it.
pub const CORE_INSTANCES_MAX: u32 = 8;
/// Instances in one process at once. One is used; a second is there while the first is being cleaned.
pub const INSTANCES_MAX: u32 = 4;

/// How often the epoch moves.
pub const EPOCH_TICK: Duration = Duration::from_millis(10);
/// Ticks after which a call is ended whatever its fuel says. The net under the fuel: block copies cost little fuel
/// however long they take. Fuel decides in all other cases, because time is not the same on every machine.
pub const EPOCH_TICKS_MAX: u64 = 50;

/// Times in a row that a plugin may be ended by the clock, or lose its process, before it is left out for a while: it
/// costs every shopper half a second otherwise.
pub const STRIKES_MAX: u32 = 3;
/// How long it is left out.
pub const SUSPENSION: Duration = Duration::from_secs(60);

/// Bytes that a call may hand back.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// Effects of a call: one for each of 200 lines, and some more.
pub const EFFECTS_MAX: usize = 256;
/// Line references in all effects of a call together.
pub const LINE_UNITS_MAX: usize = 4_096;
/// Bytes of an effect's label: a line on a phone, in any script.
pub const LABEL_BYTES_MAX: usize = 120;
/// Basis points of a percentage: everything.
pub const PERCENTAGE_BP_MAX: u32 = 10_000;
/// Bytes of a refusal's text; what is longer is cut.
pub const REFUSAL_BYTES_MAX: usize = 500;
/// Bytes of a plugin's name.
pub const NAME_BYTES_MAX: usize = 60;
/// Bytes of a plugin's version.
pub const VERSION_BYTES_MAX: usize = 40;
/// Bytes of a plugin's summary.
pub const SUMMARY_BYTES_MAX: usize = 300;
/// Bytes of a plugin's configuration.
pub const CONFIGURATION_BYTES_MAX: usize = 16 * 1024;

/// Components that a process keeps ready; the one not used for longest makes room.
pub const LOADED_MAX: usize = 128;
/// Bytes of compiled components kept on disk; older ones make room.
pub const CACHE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Writable memory of the process in bytes: engine, compiler at work, and the instances.
pub const PROCESS_DATA_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Files that the process may have open: its pipe, and one for each ready component, whose initial memory the kernel
/// shares with its instances from there.
pub const PROCESS_FILES_MAX: u64 = 256;
/// Bytes of the largest file that it may write: a compiled component.
pub const PROCESS_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Fuel of a call on a cart of so many lines.
#[must_use]
pub fn fuel(lines: usize) -> u64 {
    u64::try_from(lines).map_or(u64::MAX, |lines| lines.saturating_mul(FUEL_PER_LINE).saturating_add(FUEL_BASE))
}
