import MerlinProtocol

/// Turns images into the pixel bytes of frame messages, in every format that the detector sends.
///
/// Written from the description of the format, independently of any decoder, so that decoders can be tested with it.
///
/// Raw (`R64`) data are the chips' own streams: 64-bit words with the pixel order reversed inside each, 64, 8 or 4
/// pixels a word for 1, 6 and 12 bits; 24 bits are an image of the high 12 bits, then one of the low 12 bits. A raw row
/// of a quad is [chip 4 | chip 3 | chip 2 | chip 1], chips 3 and 4 (the lower half of the image) turned by 180°.
/// Integer types are big-endian rows. `U01` has eight pixels in a byte, the first in the highest bit.
public struct FrameEncoder: Sendable {
    public let format: DetectorFormat

    public init(_ format: DetectorFormat) {
        self.format = format
    }

    /// Encodes an image.
    ///
    /// - Parameters:
    ///   - image: counts, row-major [y, x], of the format's `sigShape`. Counts in the gap of a raw `2x2G` detector are
    ///     not sent.
    ///   - payload: exactly the format's `payloadBytes`.
    /// - Returns: the number of pixels whose count was above the counter's limit and was sent as the limit.
    @discardableResult
    public func encode<Pixel: FixedWidthInteger & UnsignedInteger>(
        _ image: UnsafeBufferPointer<Pixel>, into payload: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(image.count == format.sigShape.pixelCount, "an image of \(format.sigShape) pixels is needed")
        precondition(payload.count == format.payloadBytes, "the payload has \(format.payloadBytes) bytes")
        switch format.pixelType {
        case .u01: return encodePacked(image, payload)
        case .u08: return encodeInteger(image, payload, as: UInt8.self)
        case .u16: return encodeInteger(image, payload, as: UInt16.self)
        case .u32: return encodeInteger(image, payload, as: UInt32.self)
        case .u64: return encodeInteger(image, payload, as: UInt64.self)
        case .r64: return encodeRaw(image, payload)
        }
    }

    /// The payload of an image given as an array, row-major [y, x].
    public func encoded<Pixel: FixedWidthInteger & UnsignedInteger>(_ image: [Pixel]) -> [UInt8] {
        var payload = [UInt8](repeating: 0, count: format.payloadBytes)
        image.withUnsafeBufferPointer { image in
            _ = payload.withUnsafeMutableBytes { encode(image, into: $0) }
        }
        return payload
    }

    private func limit<Pixel: FixedWidthInteger & UnsignedInteger>(_: Pixel.Type) -> Pixel {
        Pixel(clamping: format.maximumCount)
    }

    private func encodeInteger<Pixel: FixedWidthInteger & UnsignedInteger, Stored: FixedWidthInteger>(
        _ image: UnsafeBufferPointer<Pixel>, _ payload: UnsafeMutableRawBufferPointer, as _: Stored.Type
    ) -> Int {
        guard let payload = payload.baseAddress else { return 0 }
        let limit = limit(Pixel.self)
        let size = MemoryLayout<Stored>.size
        var saturated: UInt32 = 0
        for index in 0..<image.count {
            let count = image[index]
            saturated &+= count > limit ? 1 : 0
            let stored = Stored(truncatingIfNeeded: min(count, limit)).bigEndian
            (payload + index &* size).storeBytes(of: stored, as: Stored.self)
        }
        return Int(saturated)
    }

    private func encodePacked<Pixel: FixedWidthInteger & UnsignedInteger>(
        _ image: UnsafeBufferPointer<Pixel>, _ payload: UnsafeMutableRawBufferPointer
    ) -> Int {
        var saturated = 0
        for byte in 0..<payload.count {
            var bits: UInt8 = 0
            for pixel in 0..<8 {
                let count = image[byte &* 8 &+ pixel]
                saturated &+= count > 1 ? 1 : 0
                if count != 0 { bits |= 0x80 >> UInt8(pixel) }
            }
            payload[byte] = bits
        }
        return saturated
    }

    private func encodeRaw<Pixel: FixedWidthInteger & UnsignedInteger>(
        _ image: UnsafeBufferPointer<Pixel>, _ payload: UnsafeMutableRawBufferPointer
    ) -> Int {
        let side = DetectorFormat.chipSide
        let (height, width) = (format.sigShape.height, format.sigShape.width)
        let limit = limit(Pixel.self)
        let planeBytes = payload.count / (format.counterDepth == .twentyFour ? 2 : 1)
        var saturated = 0
        var offset = 0
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: side) { line in
            /// One row of one chip: `side` pixels from `first` on, `step` apart.
            func send(_ first: Int, _ step: Int) {
                for index in 0..<side {
                    let count = image[first &+ index &* step]
                    saturated &+= count > limit ? 1 : 0
                    line[index] = UInt32(truncatingIfNeeded: min(count, limit))
                }
                switch format.counterDepth {
                case .one: Self.pack(line, pixelsPerWord: 64, shift: 0, payload, at: offset)
                case .six: Self.pack(line, pixelsPerWord: 8, shift: 0, payload, at: offset)
                case .twelve: Self.pack(line, pixelsPerWord: 4, shift: 0, payload, at: offset)
                case .twentyFour:
                    Self.pack(line, pixelsPerWord: 4, shift: 12, payload, at: offset)
                    Self.pack(line, pixelsPerWord: 4, shift: 0, payload, at: offset &+ planeBytes)
                }
                offset &+= format.rawBytesPerChipRow
            }
            for row in 0..<format.rawRows {
                if format.layout.isQuad {
                    let turned = (height - 1 - row) * width
                    send(turned + width - 1, -1)
                    send(turned + side - 1, -1)
                    send(row * width + width - side, 1)
                }
                send(row * width, 1)
            }
        }
        return saturated
    }

    /// Packs one chip row into big-endian words whose lowest bits are the first pixel's. A `shift` of 12 takes the high
    /// half of 24-bit counts; the low half is what fits the pixel's bits.
    @inline(__always)
    private static func pack(
        _ line: UnsafeMutableBufferPointer<UInt32>, pixelsPerWord: Int, shift: UInt32,
        _ payload: UnsafeMutableRawBufferPointer, at offset: Int
    ) {
        let bits = 64 / pixelsPerWord
        let mask: UInt64 = bits == 16 ? 0xFFF : (1 << UInt64(bits)) &- 1
        var offset = offset
        var pixel = 0
        while pixel < line.count {
            var word: UInt64 = 0
            for index in 0..<pixelsPerWord {
                word |= ((UInt64(line[pixel &+ index]) &>> UInt64(shift)) & mask) &<< UInt64(index &* bits)
            }
            payload.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt64.self)
            offset &+= 8
            pixel &+= pixelsPerWord
        }
    }
}
