import Glibc

/// A point in time as the detector's headers write it.
public struct CivilTime: Sendable, Hashable {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    public var nanoseconds: Int
    /// Seconds that local time is ahead of UTC.
    public var localOffset: Int

    public init(nanoseconds: Int, localOffset: Int = 0) {
        self.nanoseconds = nanoseconds
        self.localOffset = localOffset
    }

    /// The machine's time now.
    public static var now: CivilTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var local = tm()
        var seconds = time.tv_sec
        localtime_r(&seconds, &local)
        return CivilTime(nanoseconds: time.tv_sec * 1_000_000_000 + time.tv_nsec, localOffset: Int(local.tm_gmtoff))
    }

    public func advanced(byNanoseconds amount: Int) -> CivilTime {
        CivilTime(nanoseconds: nanoseconds &+ amount, localOffset: localOffset)
    }

    /// Writes `YYYY-MM-DD hh:mm:ss.ffffff` in local time, 26 bytes.
    func writeLocal(into text: UnsafeMutableRawBufferPointer) {
        write(localOffset, separator: UInt8(ascii: " "), decimals: 6, into: text)
    }

    /// Writes `YYYY-MM-DDThh:mm:ss.fffffffffZ` in UTC, 30 bytes.
    func writeUTC(into text: UnsafeMutableRawBufferPointer) {
        write(0, separator: UInt8(ascii: "T"), decimals: 9, into: text)
        text[29] = UInt8(ascii: "Z")
    }

    /// `dd/MM/YYYY hh:mm:ss` in local time, as in acquisition headers.
    var dayFirst: String {
        var bytes = [UInt8](repeating: 0, count: 26)
        bytes.withUnsafeMutableBytes { writeLocal(into: $0) }
        let text = String(decoding: bytes, as: UTF8.self)
        let parts = text.prefix(10).split(separator: "-")
        return "\(parts[2])/\(parts[1])/\(parts[0]) \(text.dropFirst(11).prefix(8))"
    }

    private func write(
        _ offset: Int, separator: UInt8, decimals: Int, into text: UnsafeMutableRawBufferPointer
    ) {
        let total = nanoseconds + offset * 1_000_000_000
        var days = total / 86_400_000_000_000
        var rest = total % 86_400_000_000_000
        if rest < 0 {
            rest += 86_400_000_000_000
            days -= 1
        }
        // Civil date from days: Howard Hinnant, "chrono-compatible low-level date algorithms".
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let seconds = rest / 1_000_000_000
        writeDigits(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4, text, 0)
        text[4] = UInt8(ascii: "-")
        writeDigits(month, 2, text, 5)
        text[7] = UInt8(ascii: "-")
        writeDigits(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1, 2, text, 8)
        text[10] = separator
        writeDigits(seconds / 3600, 2, text, 11)
        text[13] = UInt8(ascii: ":")
        writeDigits(seconds / 60 % 60, 2, text, 14)
        text[16] = UInt8(ascii: ":")
        writeDigits(seconds % 60, 2, text, 17)
        text[19] = UInt8(ascii: ".")
        let fraction = rest % 1_000_000_000
        writeDigits(decimals == 6 ? fraction / 1000 : fraction, decimals, text, 20)
    }
}

/// Writes the last `count` decimal digits of a number.
@inline(__always)
func writeDigits(_ number: Int, _ count: Int, _ text: UnsafeMutableRawBufferPointer, _ offset: Int) {
    var number = number
    for index in stride(from: offset + count - 1, through: offset, by: -1) {
        text[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10)
        number /= 10
    }
}

/// A number with leading zeros.
func padded(_ number: Int, _ count: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, count - text.count)) + text
}

/// `d.ddddddE+d`, as the headers write energies.
func scientific(_ value: Double) -> String {
    var exponent = 0
    var mantissa = abs(value)
    if mantissa > 0 {
        while mantissa >= 10 {
            mantissa /= 10
            exponent += 1
        }
        while mantissa < 1 {
            mantissa *= 10
            exponent -= 1
        }
    }
    var millionths = Int((mantissa * 1_000_000).rounded())
    if millionths >= 10_000_000 {
        millionths /= 10
        exponent += 1
    }
    let sign = value < 0 ? "-" : ""
    let fraction = padded(millionths % 1_000_000, 6)
    return "\(sign)\(millionths / 1_000_000).\(fraction)E\(exponent < 0 ? "-" : "+")\(abs(exponent))"
}

/// A number with six decimals, as the detector writes times.
func sixDecimals(_ value: Double) -> String {
    let millionths = Int((abs(value) * 1_000_000).rounded())
    return "\(value < 0 ? "-" : "")\(millionths / 1_000_000).\(padded(millionths % 1_000_000, 6))"
}
