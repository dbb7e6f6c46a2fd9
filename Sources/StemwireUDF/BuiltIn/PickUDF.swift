import StemwireKernels

/// `pick`: the frames at some scan positions.
///
/// Channel `intensity` (frames × y × x, type of the pixels), in the order of the request; 0 for frames that are not
/// there (see the coverage).
public struct PickUDF: TileUDF {
    public static let name = "pick"
    public static let parameterHelp = [
        "frames": "scan positions, counted row by row from 0, and ranges of them with both ends: 0,17,100-109"
    ]
    /// More would be no pick, but a copy of the scan: every partition's result has room for all.
    static let largestResult = 1 << 28

    public struct Parameters: UDFParameters {
        /// The scan positions.
        public var frames: Positions?

        public init() {}

        public init(frames: Positions?) { self.frames = frames }
    }

    /// Where each picked position goes.
    private let places: [Int: Int]
    private let picked: PositionSet
    private let dtype: DType
    private let kernels = PixelKernels()

    public init(parameters: Parameters, meta: UDFMeta) throws {
        guard let ranges = parameters.frames?.ranges, !ranges.isEmpty else {
            throw UDFFailure("frames: no scan position is given; give some, such as frames=0,17,100-109")
        }
        let frameBytes = meta.sigShape.pixelCount * meta.inputDType.byteCount
        var places: [Int: Int] = [:]
        var picked = PositionSet(size: meta.positionCount)
        for range in ranges {
            guard let last = range.last else { continue }
            guard range.lowerBound >= 0, last < meta.positionCount else {
                throw UDFFailure(
                    "frames: \(range.lowerBound < 0 ? range.lowerBound : last) is no scan position; they are 0 to "
                        + "\(meta.positionCount - 1)")
            }
            guard (places.count + range.count) * frameBytes <= Self.largestResult else {
                throw UDFFailure(
                    "frames: so many frames take more than \(Self.largestResult >> 20) MiB; pick at most "
                        + "\(Self.largestResult / frameBytes) of them")
            }
            for position in range {
                guard meta.roi?.contains(position) != false else {
                    throw UDFFailure("frames: \(position) is not in the region of interest")
                }
                guard picked.insert(position..<position + 1) == 1 else {
                    throw UDFFailure("frames: \(position) is named twice")
                }
                places[position] = places.count
            }
        }
        self.places = places
        self.picked = picked
        dtype = meta.inputDType
    }

    public var input: InputType { PixelEncoding(dtype: dtype) != nil ? .stack : .native }

    // Each place is filled once and added to zeros, which is exact for every type.
    public var order: MergeOrder { .any }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.single("intensity", dtype, extraShape: [places.count, meta.sigShape.height, meta.sigShape.width])]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        guard picked.count(in: tile.positions) > 0 else { return }
        let images = try context.bytes("intensity")
        let imageBytes = tile.pixelCount * dtype.byteCount
        for (index, position) in tile.positions.enumerated() {
            guard let place = places[position] else { continue }
            let image = UnsafeMutableRawBufferPointer(rebasing: images[place * imageBytes..<(place + 1) * imageBytes])
            if input == .stack {
                kernels.convertToNative(try tile.stack().frames(index..<index + 1), into: image)
            } else {
                image.copyMemory(
                    from: UnsafeRawBufferPointer(start: tile.base + index * tile.frameStride, count: imageBytes))
            }
        }
    }
}

extension PickUDF {
    /// Scan positions as ranges, in the order in which they were given.
    ///
    /// On a command line `0,17,100-109`; in JSON a list of numbers and of such texts.
    public struct Positions: Sendable, Hashable, Codable, ExpressibleByArrayLiteral {
        public var ranges: [ClosedRange<Int>]

        public init(_ ranges: [ClosedRange<Int>]) { self.ranges = ranges }

        public init(_ positions: some Sequence<Int>) { ranges = positions.map { $0...$0 } }

        public init(arrayLiteral elements: Int...) { self.init(elements) }

        public init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            ranges = []
            while !list.isAtEnd {
                var next = list
                if let position = try? next.decode(Int.self) {
                    list = next
                    ranges.append(position...position)
                } else {
                    let text = (try? list.decode(String.self)) ?? ""
                    guard let range = Self.range(text) else {
                        throw DecodingError.dataCorrupted(
                            .init(
                                codingPath: decoder.codingPath,
                                debugDescription:
                                    "\(text) is no scan position and no range of them with both ends, such as 100-109"))
                    }
                    ranges.append(range)
                }
            }
        }

        private static func range(_ text: String) -> ClosedRange<Int>? {
            let ends = text.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count == 2, let first = Int(ends[0]), let last = Int(ends[1]), first <= last else { return nil }
            return first...last
        }

        public func encode(to encoder: any Encoder) throws {
            var list = encoder.unkeyedContainer()
            for range in ranges {
                if range.count == 1 {
                    try list.encode(range.lowerBound)
                } else {
                    try list.encode("\(range.lowerBound)-\(range.upperBound)")
                }
            }
        }
    }
}
