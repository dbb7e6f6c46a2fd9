import MerlinProtocol
import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

@Suite("Masks that are moved for each frame")
struct ShiftedMasksTests {
    /// Σ over pixels of the mask, moved by (y, x), that are on the frame.
    private func plain(
        _ scan: ScanFixture, _ weights: [Double], _ position: Int, _ shift: (y: Int, x: Int)
    ) -> [Double] {
        let (height, width) = (scan.sigShape.height, scan.sigShape.width)
        return (0..<weights.count / (height * width)).map { mask in
            var sum = 0.0
            for y in 0..<height {
                for x in 0..<width where (0..<height).contains(y + shift.y) && (0..<width).contains(x + shift.x) {
                    sum +=
                        weights[(mask * height + y) * width + x]
                        * scan.reals[position][(y + shift.y) * width + x + shift.x]
                }
            }
            return sum
        }
    }

    private func expectAgreement(
        _ test: MasksTests.Case, _ masks: ResultArray, _ scan: ScanFixture, _ request: UDFRequest,
        _ shift: (Int) -> (y: Int, x: Int), missing: Set<Int> = [], roi: PositionSet? = nil
    ) throws {
        let weights = MasksTests.parts(masks)
        let found = try scan.agreedChannels(request, framesPerPartition: 8, missing: missing, roi: roi)
            .array("intensity")
        #expect(found.dtype == test.result && found.shape == [5, 7, 3])
        let processed = scan.processed(missing: missing, roi: roi)
        let empty = Array(repeating: test.result == .uint64 ? 0 : Double.nan, count: 3)
        func expected(_ part: [Double]) -> [Double] {
            (0..<35).flatMap { processed.contains($0) ? plain(scan, part, $0, shift($0)) : empty }
        }
        let parts = MasksTests.parts(found)
        #expect(agree(parts.real, expected(weights.real), within: test.tolerance))
        guard test.result.isComplex else { return }
        #expect(agree(parts.imaginary, expected(weights.imaginary), within: test.tolerance))
    }

    @Test(arguments: MasksTests.cases)
    func byTheSameForAllFrames(_ test: MasksTests.Case) throws {
        let scan = ScanFixture(dtype: test.pixels)
        let masks = MasksTests.masks(test.masks, isBinary: test.isBinary)
        for shift in [(y: 1, x: 0), (-2, 3), (5, -8), (6, 0), (0, -9), (Int.max / 4, Int.min / 4)] {
            let request = try UDFRequest(MasksUDF.self, .init(masks: masks, shift: shift))
            try expectAgreement(test, masks, scan, request, { _ in shift })
        }
    }

    @Test(arguments: MasksTests.cases)
    func byAnotherForEachFrame(_ test: MasksTests.Case) throws {
        let scan = ScanFixture(dtype: test.pixels)
        // Only some pixels, so that there are rows and columns without any.
        let masks = SparseMasksTests.masks(test.masks, isBinary: test.isBinary, count: 3)
        var generator = SeededGenerator(seed: 3)
        let shifts = (0..<70).map { _ in Int32.random(in: -7...7, using: &generator) }
        let auxiliary = ResultArray(shifts, shape: [5, 7, 2])
        let request = try UDFRequest(MasksUDF.self, .init(masks: masks), auxiliary: ["shift": auxiliary])
        let shift = { (position: Int) in (y: Int(shifts[2 * position]), x: Int(shifts[2 * position + 1])) }
        try expectAgreement(test, masks, scan, request, shift)
        try expectAgreement(test, masks, scan, request, shift, missing: lostPositions, roi: someRegion)
    }

    @Test func shiftsOfZeroChangeNothing() throws {
        let scan = ScanFixture()
        let masks = MasksTests.masks(.int32)
        let still = try UDFRequest(MasksUDF.self, .init(masks: masks))
        let moved = try UDFRequest(
            MasksUDF.self, .init(masks: masks), auxiliary: ["shift": ResultArray(zeros: .int64, shape: [5, 7, 2])])
        let arrays = try [still, moved].map { try scan.agreedChannels($0, framesPerPartition: 8).array("intensity") }
        #expect(arrays[0] == arrays[1])
    }

    @Test func fractionsAreDropped() throws {
        // As LiberTEM does.
        let scan = ScanFixture()
        let masks = MasksTests.masks(.int32)
        let whole = ResultArray((0..<70).map { Int64($0 % 5 - 2) }, shape: [5, 7, 2])
        let real = ResultArray((0..<70).map { Double($0 % 5 - 2) * 1.4 }, shape: [5, 7, 2])
        let arrays = try [whole, real].map { shifts in
            let request = try UDFRequest(MasksUDF.self, .init(masks: masks), auxiliary: ["shift": shifts])
            return try scan.agreedChannels(request, framesPerPartition: 8).array("intensity")
        }
        #expect(arrays[0] == arrays[1])
    }

    @Test func shiftsOnACommandLine() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        let masks = MasksTests.masks(.bool, isBinary: true)
        var typed = try UDFRequest(MasksUDF.self, .init(masks: masks))
        typed.parameters["shift_y"] = "-3"
        typed.parameters["shift_x"] = "2"
        let own = try UDFRequest(MasksUDF.self, .init(masks: masks, shift: (-3, 2)))
        let hashes = try [typed, own].map { try RunPlan([$0], meta: meta).udfs[0].contentHash }
        #expect(hashes[0] == hashes[1])
    }

    @Test func impossibleShiftsAreNamed() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        func fault(
            _ auxiliary: [String: ResultArray], shift: (y: Int, x: Int) = (0, 0), sparse: MasksUDF.Sparse = .auto
        ) throws -> String {
            let parameters = MasksUDF.Parameters(masks: MasksTests.masks(.float32), sparse: sparse, shift: shift)
            let request = try UDFRequest(MasksUDF.self, parameters, auxiliary: auxiliary)
            return message { _ = try RunPlan([request], meta: meta) }
        }
        let shifts = ResultArray(zeros: .float32, shape: [5, 7, 2])
        #expect(try fault(["shifts": shifts]).contains("the auxiliary data shifts are unknown; masks takes shift"))
        #expect(try fault(["shift": shifts], shift: (0, 1)).contains("there are auxiliary data with a shift for each"))
        #expect(
            try fault(["shift": ResultArray(zeros: .float32, shape: [5, 7])]).contains(
                "must be real, of shape [5, 7, 2]"))
        #expect(
            try fault(["shift": ResultArray(zeros: .complex64, shape: [5, 7, 2])]).contains("must be real, of shape"))
        var values = [Float](repeating: 0, count: 70)
        values[9] = .nan
        #expect(
            try fault(["shift": ResultArray(values, shape: [5, 7, 2])]).contains("shift of scan position 4 is nan"))
        #expect(try fault(["shift": shifts], sparse: .yes).contains("masks that are shifted are kept as images"))
    }
}
