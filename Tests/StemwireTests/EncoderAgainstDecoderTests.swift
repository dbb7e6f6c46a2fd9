import MerlinProtocol
import MerlinSimulator
import StemwireKernels
import Testing

/// The simulator's encoder and the kernels' decoder were written apart from each other, from the protocol's text: they
/// have to agree on every format, header and pixels.
@Suite struct EncoderAgainstDecoderTests {
    struct Case: Sendable, CustomStringConvertible {
        let layout: SensorLayout
        let pixelType: PixelType
        let depth: CounterDepth
        let rows: Int?

        var description: String {
            "\(pixelType.rawValue) \(depth.rawValue)-bit \(layout)" + (rows.map { " \($0) rows" } ?? "")
        }
    }

    static let cases: [Case] = {
        let layouts: [SensorLayout] = [.single, .quad, .quadWithGap]
        let processed: [(PixelType, CounterDepth)] = [
            (.u01, .one), (.u08, .one), (.u08, .six), (.u16, .twelve), (.u32, .twentyFour), (.u64, .twentyFour),
        ]
        var cases: [Case] = []
        for layout in layouts {
            // Packed pixels fill whole bytes, which an image of 514 columns does not.
            for (type, depth) in processed where type != .u01 || !layout.hasGap {
                cases.append(Case(layout: layout, pixelType: type, depth: depth, rows: nil))
            }
            for depth in CounterDepth.allCases {
                cases.append(Case(layout: layout, pixelType: .r64, depth: depth, rows: nil))
                cases.append(Case(layout: layout, pixelType: .r64, depth: depth, rows: 32))
            }
        }
        for (type, depth) in processed.dropFirst() {
            cases.append(Case(layout: .row, pixelType: type, depth: depth, rows: nil))
        }
        return cases
    }()

    @Test(arguments: cases)
    func whatIsEncodedIsDecoded(_ format: Case) throws {
        let isQuad = format.layout.isQuad
        let gap = format.layout.hasGap ? 2 : 0
        let rows = format.rows ?? 256
        let shape =
            format.layout.isRow
            ? SigShape(height: 256, width: 1024)
            : SigShape(height: isQuad ? 2 * rows + gap : rows, width: isQuad ? 512 + gap : 256)
        let detector = try DetectorFormat(
            layout: format.layout, sigShape: shape, counterDepth: format.depth, pixelType: format.pixelType)

        let limit = detector.maximumCount
        let isRaw = format.pixelType == .r64
        var state: UInt64 = 42
        let image = (0..<shape.pixelCount).map { index -> UInt64 in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            // A raw detector does not send the gap; a decoder leaves it 0.
            let isGap =
                isRaw
                && (detector.gapRows.contains(index / shape.width) || detector.gapColumns.contains(index % shape.width))
            return isGap ? 0 : (state >> 16) % (limit == .max ? .max : limit + 1)
        }
        let payload = FrameEncoder(detector).encoded(image)
        #expect(payload.count == detector.payloadBytes)
        var header = FrameHeaderText(detector).template().bytes
        let isNumbered = header.withUnsafeMutableBytes { FrameHeaderText.renumber($0, to: 1) }
        #expect(isNumbered)

        let body = header + payload
        let read = try body.withUnsafeBytes { bytes in
            try FrameFormat(header: bytes, payloadBytes: payload.count, acquisitionDepth: nil)
        }
        #expect(read.sigShape == shape)
        #expect(read.pixelType == format.pixelType)
        let decoder = try FrameDecoder(read)
        var decoded = [UInt8](repeating: 0xEE, count: decoder.imageBytes)
        payload.withUnsafeBytes { source in
            decoded.withUnsafeMutableBytes { target in decoder.decode(source, into: target) }
        }
        let pixelBytes = read.decodedPixel.bytesPerPixel
        let isSame = decoded.withUnsafeBytes { bytes in
            image.indices.allSatisfy { index in
                var value: UInt64 = 0
                withUnsafeMutableBytes(of: &value) { word in
                    word.copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[index * pixelBytes..<(index + 1) * pixelBytes]))
                }
                return value == image[index]
            }
        }
        #expect(isSame)
    }
}
