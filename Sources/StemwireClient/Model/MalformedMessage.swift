import StemwireProtocol

/// A message that cannot be what it says it is. Counted in ``ClientStatistics`` and skipped, never thrown at a user.
package struct MalformedMessage: Error, Sendable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// What the client takes from outside at most, beyond `WireLimits`.
enum ClientLimits {
    /// Scan positions of an acquisition.
    static let positions: UInt64 = 1 << 40
    /// Pixels along one side of a detector image.
    static let side: UInt32 = 1 << 16
    /// Axes of a scan or of a result.
    static let axes = 8
}

extension WireReading {
    /// Product of a shape's axes.
    static func product(_ shape: [UInt32], _ what: String) throws(MalformedMessage) -> Int {
        guard shape.count <= ClientLimits.axes else { throw MalformedMessage("\(what) has \(shape.count) axes") }
        var product = 1
        for axis in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: Int(axis))
            guard !overflow, next <= ClientLimits.positions else {
                throw MalformedMessage("\(what) \(shape) cannot be")
            }
            product = next
        }
        return product
    }
}

/// Checked readings of wire fields.
enum WireReading {
    static func uuid(_ bytes: some Collection<UInt8>) throws(MalformedMessage) -> AcquisitionUUID {
        guard let id = AcquisitionUUID(bytes) else {
            throw MalformedMessage("an acquisition id has 16 bytes, not \(bytes.count)")
        }
        return id
    }

    static func positions(first: UInt64, count: UInt64) throws(MalformedMessage) -> Range<Int> {
        guard first <= ClientLimits.positions, count <= ClientLimits.positions else {
            throw MalformedMessage("positions from \(first), \(count) of them")
        }
        return Int(first)..<Int(first) + Int(count)
    }

    static func navShape(_ shape: [UInt32]) throws(MalformedMessage) -> [Int] {
        _ = try product(shape, "nav shape")
        return shape.map(Int.init)
    }

    static func count(_ value: UInt64) -> Int { Int(clamping: value) }
}
