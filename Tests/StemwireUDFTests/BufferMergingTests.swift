import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Declared merges")
struct BufferMergingTests {
    /// One buffer of each type and merge, fed with the position of each frame.
    struct EveryMerge: FrameUDF {
        static let name = "every-merge"
        static let numeric: [DType] = [.uint8, .uint16, .uint32, .uint64, .int32, .int64, .float32, .float64]
        static let merges: [BufferDeclaration.Merge] = [.sum, .minimum, .maximum, .overwrite]

        init(parameters: NoParameters, meta: UDFMeta) {}

        var order: MergeOrder { .partition }

        func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
            let numbers = Self.numeric.flatMap { dtype in
                Self.merges.map { BufferDeclaration.single("\($0)-\(dtype)", dtype, extraShape: [2], merge: $0) }
            }
            return numbers + [
                .single("small", .complex64, merge: .sum), .single("large", .complex128, merge: .sum),
                .single("flag", .bool, merge: .overwrite), .nav("turned", .complex64), .nav("seen", .bool),
            ]
        }

        func process(_ frame: Frame, _ context: Context) throws {
            func integers<Element: ResultElement & FixedWidthInteger>(_ type: Element.Type) throws {
                try numbers(Element(frame.position))
            }
            func numbers<Element: ResultElement & Numeric & Comparable>(_ value: Element) throws {
                let dtype = Element.dtype
                let sum = try context.buffer("sum-\(dtype)", as: Element.self)
                let minimum = try context.buffer("minimum-\(dtype)", as: Element.self)
                let maximum = try context.buffer("maximum-\(dtype)", as: Element.self)
                let newest = try context.buffer("overwrite-\(dtype)", as: Element.self)
                sum[1] += value
                minimum[1] = Swift.min(minimum[1], value)
                maximum[1] = Swift.max(maximum[1], value)
                newest[1] = Swift.max(newest[1], value)
            }
            try integers(UInt8.self)
            try integers(UInt16.self)
            try integers(UInt32.self)
            try integers(UInt64.self)
            try integers(Int32.self)
            try integers(Int64.self)
            try numbers(Float(frame.position))
            try numbers(Double(frame.position))
            try context.buffer("small", as: Complex64.self)[0].imaginary += Float(frame.position)
            try context.buffer("large", as: Complex128.self)[0].real += Double(frame.position)
            try context.buffer("flag", as: Bool.self)[0] = true
            try context.buffer("turned", as: Complex64.self)[0] = Complex64(Float(frame.position), 1)
            try context.buffer("seen", as: Bool.self)[0] = true
        }
    }

    @Test func everyTypeAndRule() throws {
        let scan = ScanFixture(navShape: [2, 10])
        let registry = try UDFRegistry().adding(EveryMerge.self)
        let meta = try scan.meta(framesPerPartition: 6)
        let plan = try RunPlan([UDFRequest(name: "every-merge")], registry: registry, meta: meta)
        for seed in 1...4 as ClosedRange<UInt64> {
            var merger = try scan.run(plan, .init(seed: seed, missing: [0, 1, 19]))
            for dtype in EveryMerge.numeric {
                func values(_ merge: String) throws -> [Double] {
                    try merger.require("every-merge", "\(merge)-\(dtype)").doubles()
                }
                #expect(try values("sum") == [0, (2...18).reduce(0) { $0 + Double($1) }], "\(dtype)")
                #expect(try values("minimum")[1] == 2 && (try values("maximum")[1]) == 18, "\(dtype)")
                #expect(try values("minimum")[0] > 18 && (try values("maximum")[0]) < 1, "\(dtype)")
                #expect(try values("overwrite") == [0, 18], "\(dtype)")
            }
            #expect(merger.array("every-merge", "small") == ResultArray([Complex64(0, 170)], shape: []))
            #expect(merger.array("every-merge", "large") == ResultArray([Complex128(170, 0)], shape: []))
            #expect(merger.array("every-merge", "flag") == ResultArray([true], shape: []))
            let turned = try merger.require("every-merge", "turned").elements(as: Complex64.self)
            #expect(turned[18] == Complex64(18, 1) && turned[0].real.isNaN && turned[19].imaginary.isNaN)
            let seen = try merger.require("every-merge", "seen").elements(as: Bool.self)
            #expect(seen == (0..<20).map { (2...18).contains($0) })
        }
    }

    /// Tells which of its results are worth showing, and how many frames it got at once.
    struct OwnMask: TileUDF {
        static let name = "own-mask"

        init(parameters: NoParameters, meta: UDFMeta) {}

        var preferredTileDepth: Int { 5 }
        var order: MergeOrder { .fixedTree }

        func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
            [.nav("depth", .uint32), .nav("even", .float32, use: .resultOnly)]
        }

        func process(_ tile: FrameTile, _ context: Context) throws {
            for row in try context.buffer("depth", as: UInt32.self).indices {
                try context.buffer("depth", as: UInt32.self)[row] = UInt32(tile.count)
            }
        }

        func computeResults(_ context: ResultsContext) throws {
            let even = try context.results.elements("even", as: Float.self)
            let isEven = PositionSet((0..<context.meta.positionCount).map { $0 % 2 == 0 })
            for position in even.indices where isEven.contains(position) { even[position] = 1 }
            try context.setValid(isEven.intersection(context.processed), for: "even")
        }
    }

    @Test func validMaskAndDepthOfTheUDFsOwn() throws {
        let scan = ScanFixture(navShape: [20])
        let registry = try UDFRegistry().adding(OwnMask.self)
        let plan = try RunPlan(
            [UDFRequest(name: "own-mask")], registry: registry, meta: try scan.meta(framesPerPartition: 12),
            blockBytes: 1)
        var merger = try scan.run(plan, .init(missing: [3]))
        let channels = merger.channels()
        #expect(channels.map(\.name) == ["depth", "even"])
        let depths = Array(repeating: 5, count: 10) + [2, 2] + Array(repeating: 5, count: 5) + [3, 3, 3]
        var expected = depths.map { UInt32($0) }
        expected.replaceSubrange(0..<5, with: [3, 3, 3, 0, 1])
        #expect(channels[0].array.elements(as: UInt32.self) == expected)
        #expect(channels[0].valid?.ranges == [0..<3, 4..<20])
        #expect(channels[1].valid?.count == 10)
        #expect(channels[1].array.elements(as: Float.self)[1].isNaN)
    }
}
