import MerlinProtocol

/// Frames whose pixels tell which frame they are, so that a test can prove where each one landed.
///
/// The lowest bit of pixel k (row-major, gap left out of account) is bit k mod 64 of a code word of frame number
/// (32 bits), acquisition number (16 bits) and check sum (16 bits); so even 1-bit images and images of 8 × 8 pixels
/// tell it, and a whole image tells it many times over. At greater depths the bits above hold k itself, so that a
/// wrong byte order, a shifted row or a turned chip is found, too. Pixels in the gap of a quad are 0.
public struct SelfIdentifyingPattern: FramePattern {
    /// What a frame tells of itself.
    public struct Identity: Sendable, Hashable {
        /// Number of the acquisition, modulo 65,536.
        public var acquisition: UInt16
        /// Number of the frame from 0, modulo 2^32.
        public var frame: UInt32

        public init(acquisition: UInt16, frame: UInt32) {
            self.acquisition = acquisition
            self.frame = frame
        }
    }

    /// Fewest pixels that can tell.
    public static let minimumPixels = 64

    public let sigShape: SigShape
    /// Bits that the counter of a pixel has: 1, 6, 12 or 24.
    public let bits: Int
    private let gapRows: Range<Int>
    private let gapColumns: Range<Int>

    public var variesByAcquisition: Bool { true }

    /// - Parameter format: of at least 64 pixels outside the gap; otherwise images tell nothing and
    ///   ``identify(_:)`` always fails.
    public init(_ format: DetectorFormat) {
        sigShape = format.sigShape
        bits = format.counterDepth.rawValue
        gapRows = format.gapRows
        gapColumns = format.gapColumns
    }

    /// Makes the image of a frame.
    ///
    /// - Parameter image: of `sigShape`, row-major [y, x].
    public func encode<Pixel: FixedWidthInteger & UnsignedInteger>(
        _ identity: Identity, into image: UnsafeMutableBufferPointer<Pixel>
    ) {
        precondition(image.count == sigShape.pixelCount, "an image of \(sigShape) pixels is needed")
        let word = Self.word(identity)
        let base = UInt32(1) << UInt32(bits - 1)
        for row in 0..<sigShape.height {
            for column in 0..<sigShape.width {
                let pixel = row &* sigShape.width &+ column
                image[pixel] = Pixel(truncatingIfNeeded: value(pixel, word, base))
            }
            if !gapColumns.isEmpty || gapRows.contains(row) {
                for column in gapRows.contains(row) ? 0..<sigShape.width : gapColumns {
                    image[row &* sigShape.width &+ column] = 0
                }
            }
        }
    }

    /// The image of a frame as an array, row-major [y, x].
    public func encoded<Pixel: FixedWidthInteger & UnsignedInteger>(_ identity: Identity, as _: Pixel.Type) -> [Pixel] {
        [Pixel](unsafeUninitializedCapacity: sigShape.pixelCount) { buffer, count in
            let image = UnsafeMutableBufferPointer(rebasing: buffer[..<sigShape.pixelCount])
            image.initialize(repeating: 0)
            encode(identity, into: image)
            count = sigShape.pixelCount
        }
    }

    /// Reads which frame an image is.
    ///
    /// - Parameter image: decoded counts, row-major [y, x].
    /// - Returns: nil unless every pixel fits: then the image is damaged, made of several frames, or no such image.
    public func identify<Pixel: FixedWidthInteger & UnsignedInteger>(
        _ image: UnsafeBufferPointer<Pixel>
    ) -> Identity? {
        guard image.count == sigShape.pixelCount else { return nil }
        var word: UInt64 = 0
        var seen: UInt64 = 0
        var pixel = 0
        while pixel < image.count, seen != .max {
            if !isGap(pixel) {
                let bit = UInt64(truncatingIfNeeded: image[pixel] & 1)
                word |= bit << UInt64(pixel % 64)
                seen |= 1 << UInt64(pixel % 64)
            }
            pixel += 1
        }
        let identity = Identity(
            acquisition: UInt16(truncatingIfNeeded: word >> 32), frame: UInt32(truncatingIfNeeded: word))
        guard seen == .max, Self.word(identity) == word else { return nil }
        let base = UInt32(1) << UInt32(bits - 1)
        let hasGap = !gapRows.isEmpty || !gapColumns.isEmpty
        for pixel in 0..<image.count {
            let expected = hasGap && isGap(pixel) ? 0 : value(pixel, word, base)
            guard image[pixel] == Pixel(truncatingIfNeeded: expected) else { return nil }
        }
        return identity
    }

    /// Reads which frame an image given as an array is.
    public func identify<Pixel: FixedWidthInteger & UnsignedInteger>(_ image: [Pixel]) -> Identity? {
        image.withUnsafeBufferPointer { identify($0) }
    }

    public func render(frame: Int, acquisition: UInt64, into image: UnsafeMutableBufferPointer<UInt32>) {
        encode(
            Identity(acquisition: UInt16(truncatingIfNeeded: acquisition), frame: UInt32(truncatingIfNeeded: frame)),
            into: image)
    }

    @inline(__always)
    private func value(_ pixel: Int, _ word: UInt64, _ base: UInt32) -> UInt32 {
        let bit = UInt32(truncatingIfNeeded: word &>> UInt64(truncatingIfNeeded: pixel & 63)) & 1
        return ((UInt32(truncatingIfNeeded: pixel) & (base &- 1)) << 1) | bit
    }

    private func isGap(_ pixel: Int) -> Bool {
        gapRows.contains(pixel / sigShape.width) || gapColumns.contains(pixel % sigShape.width)
    }

    private static func word(_ identity: Identity) -> UInt64 {
        let content = UInt64(identity.acquisition) << 32 | UInt64(identity.frame)
        return RandomSource.mix(content &+ 0x51) & 0xFFFF << 48 | content
    }
}
