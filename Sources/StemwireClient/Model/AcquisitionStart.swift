import MerlinProtocol
import StemwireProtocol

/// An acquisition that has begun.
public struct AcquisitionStart: Sendable, Hashable {
    public let acquisition: AcquisitionUUID
    /// 1, 2, 3 … in one server session.
    public let generation: UInt64
    /// Shape of the scan, slow axis first.
    public let navShape: [Int]
    /// Scan positions that are expected.
    public let framesExpected: Int
    public let framesPerPartition: Int
    /// Shape of a decoded frame, (y, x); nil when the server does not know it yet.
    public let sigShape: SigShape?
    /// numpy name of a decoded pixel's type: `uint8`, `uint16`, …; empty when the server does not know it yet.
    public let dtype: String
    /// Pixel type as the detector writes it: `U08`, `U16`, `R64`, ….
    public let pixelType: String
    /// Counter depth in bits; nil when unknown.
    public let counterDepth: Int?
    /// The detector's acquisition header, verbatim; empty when it sent none.
    public let header: [UInt8]
    /// Server's wall clock at the start, nanoseconds since 1970.
    public let startedAt: UInt64

    init(_ wire: WireStart) throws(MalformedMessage) {
        acquisition = try WireReading.uuid(wire.acquisition)
        generation = wire.generation
        navShape = try WireReading.navShape(wire.navShape)
        framesExpected = try WireReading.positions(first: 0, count: wire.framesExpected).count
        framesPerPartition = Int(wire.framesPerPartition)
        sigShape = wire.hasFormat ? try WireReading.sigShape(wire.format.sigShape) : nil
        dtype = wire.format.dtype
        pixelType = wire.format.pixelType
        counterDepth = wire.format.counterDepth == 0 ? nil : Int(wire.format.counterDepth)
        header = Array(wire.acquisitionHeader)
        startedAt = wire.startedAt
    }
}

extension WireReading {
    /// (y, x), or nil for an empty field.
    static func sigShape(_ shape: [UInt32]) throws(MalformedMessage) -> SigShape? {
        guard !shape.isEmpty else { return nil }
        guard shape.count == 2, shape.allSatisfy({ (1...ClientLimits.side).contains($0) }) else {
            throw MalformedMessage("sig shape \(shape) cannot be")
        }
        return SigShape(height: Int(shape[0]), width: Int(shape[1]))
    }
}
