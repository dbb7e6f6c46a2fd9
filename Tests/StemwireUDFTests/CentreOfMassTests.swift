import Foundation
import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Centre of mass against plain sums")
struct CentreOfMassTests {
    /// `com` in the plainest words, one scan position after the other.
    struct Reference {
        var parameters = CentreOfMassUDF.Parameters()
        let scan: ScanFixture
        let processed: Set<Int>
        let rows: Int
        let columns: Int
        var centres: [[Double]] = []
        var shifts: [[Double]] = []
        var field: [[Double]] = []

        init(_ scan: ScanFixture, _ parameters: CentreOfMassUDF.Parameters, _ processed: [Int]) {
            self.scan = scan
            self.parameters = parameters
            self.processed = Set(processed)
            rows = scan.navShape[0]
            columns = scan.navShape[1]
            let cy = parameters.cy ?? Double(scan.sigShape.height / 2)
            let cx = parameters.cx ?? Double(scan.sigShape.width / 2)
            for (position, frame) in scan.reals.enumerated() {
                guard self.processed.contains(position) else {
                    centres.append([.nan, .nan])
                    shifts.append([.nan, .nan])
                    continue
                }
                var sums = [0.0, 0.0, 0.0]
                for (pixel, value) in frame.enumerated() {
                    let y = Double(pixel / scan.sigShape.width)
                    let x = Double(pixel % scan.sigShape.width)
                    let squared = (y - cy) * (y - cy) + (x - cx) * (x - cx)
                    let ri = parameters.ri
                    guard squared <= parameters.r * parameters.r, ri == 0 || squared > ri * ri else { continue }
                    sums[0] += value
                    sums[1] += y * value
                    sums[2] += x * value
                }
                let centre = sums[0] == 0 ? [cy, cx] : [sums[1] / sums[0], sums[2] / sums[0]]
                centres.append(centre)
                shifts.append([centre[0] - cy, centre[1] - cx])
            }
            let angle = parameters.scanRotation / 180 * Double.pi
            field = shifts.map { shift in
                let y = parameters.flipY ? -shift[0] : shift[0]
                return [cos(angle) * y + sin(angle) * shift[1], -sin(angle) * y + cos(angle) * shift[1]]
            }
        }

        mutating func subtract(_ background: [Double]) {
            for position in field.indices {
                let (row, column) = (Double(position / columns), Double(position % columns))
                for axis in 0..<2 {
                    field[position][axis] -=
                        background[axis] + row * background[2 + axis] + column * background[4 + axis]
                }
            }
        }

        func difference(_ position: Int, _ axis: Int, along: Int) -> Double {
            let index = along == 0 ? position / columns : position % columns
            let count = along == 0 ? rows : columns
            let step = along == 0 ? columns : 1
            if index == 0 { return field[position + step][axis] - field[position][axis] }
            if index == count - 1 { return field[position][axis] - field[position - step][axis] }
            return (field[position + step][axis] - field[position - step][axis]) / 2
        }

        func expectEqual(_ channels: [String: ResultChannel], within tolerance: Double) throws {
            func expect(_ name: String, _ values: [Double]) throws {
                #expect(agree(try channels.numbers(name), values, within: tolerance), "\(name)")
            }
            func masked(_ value: (Int) -> Double) -> [Double] {
                field.indices.map { processed.contains($0) ? value($0) : .nan }
            }
            try expect("raw_com", centres.flatMap { $0 })
            try expect("raw_shifts", shifts.flatMap { $0 })
            try expect("field", field.flatMap { $0 })
            try expect("field_y", field.map { $0[0] })
            try expect("field_x", field.map { $0[1] })
            try expect("magnitude", field.map { hypot($0[0], $0[1]) })
            let divergence = masked { difference($0, 0, along: 0) + difference($0, 1, along: 1) }
            try expect("divergence", divergence)
            try expect("curl", masked { difference($0, 0, along: 1) - difference($0, 1, along: 0) })
            #expect(channels["field"]?.valid?.ranges.flatMap { $0 } == processed.sorted())
            for name in ["divergence", "curl"] {
                #expect(channels[name]?.valid?.booleans == divergence.map { !$0.isNaN })
            }
        }
    }

    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64], [1, 4, 35])
    func everyChannel(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype, largest: dtype == .uint64 ? 1 << 40 : nil)
        // Sums of numbers of both signs nearly vanish, so shifts are large and lose figures.
        let isSigned = dtype.isFloatingPoint
        for (missing, roi) in [([], nil), (lostPositions, nil), (lostPositions, someRegion)]
            as [(Set<Int>, PositionSet?)]
        {
            let parameters = CentreOfMassUDF.Parameters(cy: 2.5, r: 3.2, ri: 1, scanRotation: 33, flipY: true)
            let channels = try scan.agreedChannels(
                try UDFRequest(CentreOfMassUDF.self, parameters), framesPerPartition: framesPerPartition,
                missing: missing, roi: roi)
            let reference = Reference(scan, parameters, scan.processed(missing: missing, roi: roi))
            try reference.expectEqual(channels, within: isSigned ? 1e-4 : 1e-5)
            #expect(try channels.numbers("regression") == [0, 0, 0, 0, 0, 0])
            let real: DType = [.uint8, .uint16, .float32].contains(dtype) ? .float32 : .float64
            #expect(try channels.array("field").dtype == real)
            #expect(try channels.array("field").shape == [5, 7, 2])
            #expect(try channels.array("curl").shape == [5, 7])
            #expect(try channels.array("regression").dtype == .float64)
            #expect(try channels.array("regression").shape == [3, 2])
        }
    }

    @Test func channelsAndDefaultsFollowLiberTEM() throws {
        let scan = ScanFixture(dtype: .uint8)
        let channels = try scan.agreedChannels(UDFRequest(name: "com"), framesPerPartition: 8)
        try Reference(scan, .init(), Array(scan.frames.indices)).expectEqual(channels, within: 1e-6)
        let names = RunPlanChannels.of("com", try scan.meta(framesPerPartition: 8))
        #expect(
            names == [
                "raw_com", "raw_shifts", "field", "field_y", "field_x", "magnitude", "divergence", "curl", "regression",
            ])
        #expect(
            CentreOfMassUDF.parameters.map { "\($0.name)=\($0.defaultValue ?? "")" } == [
                "cy=", "cx=", "r=inf", "ri=0", "scan_rotation=0", "flip_y=false", "regression=-1",
            ])
    }

    @Test func integerResultsAreTheSameForAnyPartitionSize() throws {
        let scan = ScanFixture(dtype: .uint16)
        let request = UDFRequest(name: "com", parameters: ["r": 3, "regression": 1, "scan_rotation": 20])
        let first = try scan.agreedChannels(request, framesPerPartition: 1)
        for framesPerPartition in [2, 5, 9, 35] {
            let other = try scan.agreedChannels(request, framesPerPartition: framesPerPartition, framesPerBlock: 2)
            for (name, channel) in first { #expect(other[name]?.array == channel.array, "\(name)") }
        }
    }

    @Test func meanIsSubtractedOverProcessedPositions() throws {
        let scan = ScanFixture(dtype: .uint16)
        let processed = scan.processed(missing: lostPositions, roi: nil)
        let parameters = CentreOfMassUDF.Parameters(scanRotation: -10, regression: .mean)
        let channels = try scan.agreedChannels(
            try UDFRequest(CentreOfMassUDF.self, parameters), framesPerPartition: 4, missing: lostPositions)
        var reference = Reference(scan, parameters, processed)
        let mean = (0..<2).map { axis in
            processed.reduce(0) { $0 + reference.field[$1][axis] } / Double(processed.count)
        }
        reference.subtract(mean + [0, 0, 0, 0])
        try reference.expectEqual(channels, within: 1e-6)
        #expect(agree(try channels.numbers("regression"), mean + [0, 0, 0, 0], within: 1e-12))
    }

    /// Frames of one bright pixel, which is moved with the scan position.
    private func movingSpot(_ rows: Int, _ columns: Int, _ place: @escaping (Int, Int) -> (Int, Int)) -> ScanFixture {
        ScanFixture(navShape: [rows, columns], sigShape: SigShape(height: 40, width: 50), dtype: .uint16) {
            let (y, x) = place($0 / columns, $0 % columns)
            return $1 == y * 50 + x ? 1000 : 0
        }
    }

    @Test func planeIsFoundAndSubtracted() throws {
        let scan = movingSpot(5, 7) { (10 + 2 * $0 + 3 * $1, 30 - 3 * $0 + $1) }
        let expected = [10 - 20, 30 - 25, 2, -3, 3, 1].map { Double($0) }
        for (missing, framesPerPartition) in [([], 35), (lostPositions, 3)] as [(Set<Int>, Int)] {
            let channels = try scan.agreedChannels(
                UDFRequest(name: "com", parameters: ["regression": "1"]), framesPerPartition: framesPerPartition,
                missing: missing)
            #expect(agree(try channels.numbers("regression"), expected, within: 1e-12))
            let zeros = scan.frames.indices.map { missing.contains($0) ? Double.nan : 0 }
            #expect(agree(try channels.numbers("magnitude"), zeros, within: 1e-5))
        }
        // Given as numbers, in either form, it is subtracted as it is.
        let given: [ParameterValue] = [
            "-10,5,2,-3,3,1", [[-10, 5], [2, -3], [3, 1]], [-10, 5, 2, -3, 3, 1],
        ]
        for value in given {
            let channels = try scan.agreedChannels(
                UDFRequest(name: "com", parameters: ["regression": value]), framesPerPartition: 8)
            #expect(try channels.numbers("regression") == expected)
            #expect(agree(try channels.numbers("field"), Array(repeating: 0, count: 70), within: 1e-6))
        }
    }

    @Test func planeThroughALineIsFlatAcrossIt() throws {
        let scan = movingSpot(5, 7) { (20 + $0, 20 + 2 * $1) }
        let request = UDFRequest(name: "com", parameters: ["regression": 1])
        let row = try scan.agreedChannels(request, framesPerPartition: 7, missing: Set(7..<35))
        #expect(agree(try row.numbers("regression"), [0, -5, 0, 0, 0, 2], within: 1e-12))
        // Positions (0, 0), (1, 1), …: y rises by 1, x by 2 along the diagonal, half of it by row and half by column.
        let diagonal = try scan.agreedChannels(
            request, framesPerPartition: 7, missing: Set((0..<35).filter { $0 % 8 != 0 }))
        #expect(agree(try diagonal.numbers("regression"), [0, -5, 0.5, 1, 0.5, 1], within: 1e-12))
        let point = try scan.agreedChannels(request, framesPerPartition: 7, missing: Set(0..<34))
        #expect(agree(try point.numbers("regression"), [4, 7, 0, 0, 0, 0], within: 1e-12))
        let nothing = try scan.agreedChannels(request, framesPerPartition: 7, missing: Set(0..<35))
        #expect(try nothing.numbers("regression") == [0, 0, 0, 0, 0, 0])
        #expect(try nothing.numbers("field").allSatisfy(\.isNaN))
    }

    @Test func emptyFramesHaveNoShift() throws {
        let scan = ScanFixture(navShape: [2, 2], sigShape: SigShape(height: 5, width: 4), dtype: .uint16) { _, _ in 0 }
        let channels = try scan.agreedChannels(UDFRequest(name: "com", parameters: ["cy": 1.5]), framesPerPartition: 3)
        #expect(try channels.numbers("raw_com") == [1.5, 2, 1.5, 2, 1.5, 2, 1.5, 2])
        #expect(try channels.numbers("raw_shifts") == Array(repeating: 0, count: 8))
    }

    @Test func directionsOfRotationAndFlip() throws {
        // The spot is two pixels below the centre: a shift of (2, 0).
        let scan = movingSpot(2, 2) { _, _ in (22, 25) }
        func field(_ parameters: [String: ParameterValue]) throws -> [Double] {
            let request = UDFRequest(name: "com", parameters: parameters)
            return Array(try scan.agreedChannels(request, framesPerPartition: 4).numbers("field")[..<2])
        }
        #expect(try field([:]) == [2, 0])
        // Downwards, turned clockwise, is to the left.
        #expect(agree(try field(["scan_rotation": 90]), [0, -2], within: 1e-6))
        #expect(agree(try field(["scan_rotation": 90, "flip_y": true]), [0, 2], within: 1e-6))
        #expect(try field(["flip_y": "true"]) == [-2, 0])
    }

    @Test func scanOfOneRowHasNoSlopes() throws {
        let scan = ScanFixture(navShape: [1, 6])
        let channels = try scan.agreedChannels(UDFRequest(name: "com"), framesPerPartition: 4)
        #expect(try channels.numbers("divergence").allSatisfy(\.isNaN))
        #expect(try channels.numbers("magnitude").allSatisfy { !$0.isNaN })
    }

    @Test func impossibleParametersAreNamed() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        #expect(refusal("com", ["r": 2, "ri": 2], meta).contains("ri: 2.0 and r: 2.0 enclose nothing"))
        #expect(refusal("com", ["ri": -1], meta).contains("ri is at least 0"))
        #expect(refusal("com", ["r": "nan"], meta).contains("r larger than ri"))
        #expect(refusal("com", ["scan_rotation": "inf"], meta).contains("scan_rotation: inf is no angle"))
        #expect(refusal("com", ["cy": "nan"], meta).contains("cy: nan"))
        #expect(refusal("com", ["flip": true], meta).contains("has no parameter \"flip\"; com takes cy"))
        for bad in ["2", "1,2", "1,2,3,4,5,x", "x", "1,2,3,4,5,inf"] as [ParameterValue] {
            #expect(
                refusal("com", ["regression": bad], meta).contains(
                    "regression: expected -1 (none), 0 (mean), 1 (plane) or the 3 × 2 numbers"))
        }
        #expect(
            refusal("com", ["regression": [[1, 2, 3], [1, 2, 3], [0, 0, 0]]], meta).contains("regression: expected"))
        let line = try UDFMeta(
            navShape: [12], sigShape: SigShape(height: 4, width: 4), inputDType: .uint16, framesPerPartition: 4)
        #expect(refusal("com", [:], line).contains("the scan of shape [12] is not one of rows and columns"))
        let complex = try UDFMeta(
            navShape: [3, 4], sigShape: SigShape(height: 4, width: 4), inputDType: .complex64, framesPerPartition: 4)
        #expect(refusal("com", [:], complex).contains("must be real numbers"))
    }
}

/// The names of a UDF's channels, in order.
enum RunPlanChannels {
    static func of(_ name: String, _ meta: UDFMeta) -> [String] {
        let plan = try? RunPlan([UDFRequest(name: name)], meta: meta)
        return plan?.udfs[0].declarations.filter { $0.use == .exported || $0.use == .resultOnly }.map(\.name) ?? []
    }
}
