import Glibc

/// The time of day, for people and for comparing machines; nothing is measured or waited for by it.
public enum WallClock {
    /// Nanoseconds since 1970 UTC.
    public static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Nanoseconds since the machine was started: for comparing moments of one process.
    public static func sinceBoot() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Seconds since 1970 UTC.
    public static var now: Double { Double(nanoseconds()) / 1e9 }
}
