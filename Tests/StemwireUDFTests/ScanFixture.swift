import MerlinProtocol
import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

/// Random frames, as numbers and as they lie in memory after their reception: at an odd address, with headers between.
final class ScanFixture {
    let navShape: [Int]
    let sigShape: SigShape
    let dtype: DType
    /// [position][pixel]
    let frames: [[UInt64]]
    /// Behind a header of so many bytes are the pixels of each message.
    let pixelOffset = 13
    let stride: Int
    private let memory: UnsafeMutableRawBufferPointer
    let base: UnsafeRawPointer

    /// - Parameter largest: The largest value; of floating-point numbers the largest magnitude.
    convenience init(
        navShape: [Int] = [5, 7], sigShape: SigShape = SigShape(height: 6, width: 9), dtype: DType = .uint16,
        bigEndian: Bool = false, largest: UInt64? = nil, seed: UInt64 = 1
    ) {
        var generator = SeededGenerator(seed: seed)
        let limit = largest ?? (dtype.isFloatingPoint ? 100 : UInt64.max >> UInt64(64 - 8 * dtype.byteCount))
        let reals = -Double(limit)...Double(limit)
        self.init(navShape: navShape, sigShape: sigShape, dtype: dtype, bigEndian: bigEndian) { _, _ in
            switch dtype {
            case .float32: UInt64(Float(Double.random(in: reals, using: &generator)).bitPattern)
            case .float64: Double.random(in: reals, using: &generator).bitPattern
            default: UInt64.random(in: 0...limit, using: &generator)
            }
        }
    }

    /// Frames of given pixels; of floating-point ones the bits.
    init(
        navShape: [Int], sigShape: SigShape, dtype: DType, bigEndian: Bool = false,
        pixel: (_ position: Int, _ pixel: Int) -> UInt64
    ) {
        self.navShape = navShape
        self.sigShape = sigShape
        self.dtype = dtype
        let size = dtype.byteCount
        let pixels = sigShape.pixelCount
        let count = navShape.reduce(1, *)
        frames = (0..<count).map { position in (0..<pixels).map { pixel(position, $0) } }
        stride = pixelOffset + pixels * size
        memory = .allocate(byteCount: 1 + count * stride, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0xa5)
        base = UnsafeRawPointer(memory.baseAddress! + 1)
        for (position, frame) in frames.enumerated() {
            for (pixel, value) in frame.enumerated() {
                for byte in 0..<size {
                    let shift = UInt64(8 * (bigEndian ? size - 1 - byte : byte))
                    memory[1 + position * stride + pixelOffset + pixel * size + byte] =
                        UInt8(truncatingIfNeeded: value >> shift)
                }
            }
        }
    }

    deinit { memory.deallocate() }

    /// The pixels as numbers, [position][pixel].
    private(set) lazy var reals: [[Double]] = frames.map { frame in
        frame.map { pixel in
            switch dtype {
            case .float32: Double(Float(bitPattern: UInt32(pixel)))
            case .float64: Double(bitPattern: pixel)
            default: Double(pixel)
            }
        }
    }

    var decoder: NativeStackDecoder { NativeStackDecoder(dtype: dtype, sigShape: sigShape) }

    func meta(framesPerPartition: Int, roi: PositionSet? = nil) throws -> UDFMeta {
        try UDFMeta(
            navShape: navShape, sigShape: sigShape, inputDType: dtype, framesPerPartition: framesPerPartition, roi: roi)
    }

    /// Feeds one run of positions to a task.
    @discardableResult
    func feed(_ task: PartitionTask, _ positions: Range<Int>) throws -> Int {
        try task.process(
            base + positions.lowerBound * stride, stride: stride, pixelOffset: pixelOffset, count: positions.count,
            firstPosition: positions.lowerBound)
    }

    /// How frames come and results go in a run.
    struct Disorder {
        var seed: UInt64 = 1
        var lanes = 3
        /// Chance of a flush after a tile.
        var flush = 0.3
        var shufflesTiles = true
        var shufflesPartitions = true
        var missing: Set<Int> = []

        /// As from an undisturbed scan on one thread, one tile for each partition.
        static let none = Disorder(lanes: 1, flush: 0, shufflesTiles: false, shufflesPartitions: false)
    }

    /// Runs a plan over the scan.
    func run(
        _ plan: RunPlan, _ disorder: Disorder = .none, decoder: (any StackDecoder)? = nil
    ) throws -> ResultMerger {
        var generator = SeededGenerator(seed: disorder.seed)
        let decoder = decoder ?? self.decoder
        let lanes = try (0..<disorder.lanes).map { _ in try UDFLane(plan, decoder: decoder) }
        var merger = ResultMerger(plan)
        var results: [PartitionResult] = []
        for partition in 0..<plan.meta.partitionCount {
            let task = try lanes[partition % lanes.count].begin(partition: partition)
            for tile in tiles(of: task.positions, disorder, &generator) {
                try feed(task, tile)
                if Double.random(in: 0..<1, using: &generator) < disorder.flush, let result = try task.flush() {
                    results.append(result)
                }
            }
            results.append(try task.finish())
        }
        if disorder.shufflesPartitions { results.shuffle(using: &generator) }
        for result in results { try merger.merge(result) }
        return merger
    }

    private func tiles(
        of positions: Range<Int>, _ disorder: Disorder, _ generator: inout SeededGenerator
    ) -> [Range<Int>] {
        var tiles: [Range<Int>] = []
        for position in positions where !disorder.missing.contains(position) {
            let joins = !disorder.shufflesTiles || Bool.random(using: &generator)
            if joins, let last = tiles.last, last.upperBound == position {
                tiles[tiles.count - 1] = last.lowerBound..<position + 1
            } else {
                tiles.append(position..<position + 1)
            }
        }
        return disorder.shufflesTiles ? tiles.shuffled(using: &generator) : tiles
    }
}

extension ResultMerger {
    /// The array of a channel.
    mutating func array(_ udf: String, _ channel: String = "intensity") -> ResultArray? {
        channels().first { $0.udf == udf && $0.name == channel }?.array
    }

    /// The array of a channel that must be there.
    mutating func require(_ udf: String, _ channel: String = "intensity") throws -> ResultArray {
        let found = array(udf, channel)
        return try #require(found)
    }
}

/// The message of the error that `body` throws.
func message(of body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}
