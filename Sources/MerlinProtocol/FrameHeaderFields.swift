/// The fields of a frame header that decide its framing, place and format.
///
/// Plain data, read without allocation: this is what the receiver parses for every frame.
public struct FrameHeaderFields: Sendable, Hashable {
    /// Largest width or height accepted, so that no product of header numbers can overflow.
    public static let maximumSide = 1 << 20
    /// Largest number of chips accepted: as many as the chip select mask has bits.
    public static let maximumChipCount = 32

    /// Counts from 1 in every acquisition, over all `.mib` files of it.
    public var sequenceNumber: UInt64
    /// Digits the sequence number was written with: six, more from frame 1 000 000 on.
    public var sequenceDigits: Int
    /// Byte of the body at which the pixels begin; at most the body's size.
    public var dataOffset: Int
    public var chipCount: Int
    /// X pixels as written: for raw data the chips' raw geometry, not the image's.
    public var width: Int
    /// Y pixels as written.
    public var height: Int
    public var pixelType: PixelType
    public var layout: SensorLayout
    /// Bit mask of the chips in use.
    public var chipSelect: UInt32

    public init(
        sequenceNumber: UInt64, sequenceDigits: Int, dataOffset: Int, chipCount: Int, width: Int, height: Int,
        pixelType: PixelType, layout: SensorLayout, chipSelect: UInt32
    ) {
        self.sequenceNumber = sequenceNumber
        self.sequenceDigits = sequenceDigits
        self.dataOffset = dataOffset
        self.chipCount = chipCount
        self.width = width
        self.height = height
        self.pixelType = pixelType
        self.layout = layout
        self.chipSelect = chipSelect
    }

    /// Reads the leading fields of a frame message.
    ///
    /// A6: fields are found by their commas, never by offset, since the sequence number has seven digits from frame
    /// 1 000 000 on and old software pads the layout differently. Any width up to 64 bits is accepted.
    ///
    /// - Parameter body: the message from `MQ1,` on; at least up to where the pixels begin. Its bytes may be anything.
    /// - Complexity: constant (at most the first 1024 bytes are looked at), no allocation.
    public static func parse(_ body: UnsafeRawBufferPointer) throws(FrameHeaderError) -> FrameHeaderFields {
        var cursor = HeaderFieldCursor(body, limit: min(body.count, 1024))
        guard let (identifier, isClosed) = cursor.next(), isClosed, cursor.equals(identifier, "MQ1") else {
            throw identifierError(body)
        }
        let sequence = try closedField(&cursor, .sequenceNumber)
        guard let sequenceNumber = cursor.decimal(sequence) else { throw .malformed(.sequenceNumber) }
        let dataOffset = try number(&cursor, .dataOffset, in: 0...Int.max)
        let chipCount = try number(&cursor, .chipCount, in: 1...maximumChipCount)
        let width = try number(&cursor, .width, in: 1...maximumSide)
        let height = try number(&cursor, .height, in: 1...maximumSide)

        let type = try closedField(&cursor, .pixelType)
        guard type.count == 3,
            let pixelType = PixelType(body[type.lowerBound], body[type.lowerBound &+ 1], body[type.lowerBound &+ 2])
        else { throw .malformed(.pixelType) }

        let name = try closedField(&cursor, .layout)
        guard name.count == 3 || name.count == 4,
            let layout = SensorLayout(
                count: name.count, body[name.lowerBound], body[name.lowerBound &+ 1], body[name.lowerBound &+ 2],
                body[name.upperBound &- 1])
        else { throw .malformed(.layout) }

        guard let (mask, _) = cursor.next(), !mask.isEmpty else { throw .endsBefore(.chipSelect) }
        guard let chipSelect = cursor.hexadecimal(mask) else { throw .malformed(.chipSelect) }

        guard dataOffset >= cursor.position, dataOffset <= body.count else {
            throw .dataOffset(dataOffset, textBytes: cursor.position, bodyBytes: body.count)
        }
        return FrameHeaderFields(
            sequenceNumber: sequenceNumber, sequenceDigits: sequence.count, dataOffset: dataOffset,
            chipCount: chipCount, width: width, height: height, pixelType: pixelType, layout: layout,
            chipSelect: chipSelect)
    }

    @inline(__always)
    private static func closedField(
        _ cursor: inout HeaderFieldCursor, _ name: FrameHeaderField
    ) throws(FrameHeaderError) -> Range<Int> {
        guard let (field, isClosed) = cursor.next(), isClosed else { throw .endsBefore(name) }
        return field
    }

    @inline(__always)
    private static func number(
        _ cursor: inout HeaderFieldCursor, _ name: FrameHeaderField, in range: ClosedRange<Int>
    ) throws(FrameHeaderError) -> Int {
        let field = try closedField(&cursor, name)
        guard let value = cursor.decimal(field) else { throw .malformed(name) }
        guard value <= UInt64(range.upperBound), value >= UInt64(range.lowerBound) else { throw .outOfRange(name) }
        return Int(truncatingIfNeeded: value)
    }

    /// Tells other known kinds of message from plain garbage.
    private static func identifierError(_ body: UnsafeRawBufferPointer) -> FrameHeaderError {
        var cursor = HeaderFieldCursor(body, limit: min(body.count, 16))
        guard let (identifier, isClosed) = cursor.next(), isClosed else { return .notAFrame }
        if cursor.equals(identifier, "PR1") { return .profile }
        if (2...3).contains(identifier.count), body[identifier.upperBound &- 1] == UInt8(ascii: "B"),
            let depth = cursor.decimal(identifier.dropLast()), CounterDepth(rawValue: Int(depth)) != nil
        {
            return .olderThanMQ1
        }
        return .notAFrame
    }
}
