import StemwireKernels
import StemwireProtocol
import StemwireUDF
import StemwireWire
import Testing
import ZeroMQ

@Suite("Arrays beside a message") struct ReceivedArraysTests {
    private let numbers = ResultArray([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])

    private func received(_ parts: [[UInt8]]) -> [ReceivedPart] { parts.map { ReceivedPart(Message(copying: $0)) } }

    private func bytes(_ array: ResultArray) -> [UInt8] { array.withUnsafeBytes { Array($0) } }

    @Test func whatIsSentComes() throws {
        var positions = PositionSet(size: 11)
        positions.insert(0..<3)
        positions.insert(7..<9)
        let headers = [
            WireArrayHeader(numbers, purpose: .buffer, udf: "u", name: "b"),
            WireArrayHeader(positions.bitmap, udf: "u", name: "valid"),
        ]
        var arrays = try ReceivedArrays(headers, parts: received([bytes(numbers), positions.bitmap]))
        #expect(arrays.next?.udf == "u" && arrays.next?.name == "b" && arrays.next?.purpose == "buffer")
        #expect(try arrays.takeArray() == numbers)
        #expect(arrays.next?.purpose == "roi")
        #expect(try arrays.takePositions(size: 11) == positions)
        #expect(arrays.next == nil)
        #expect(throws: ReceivedArrayError.self) { try arrays.takeArray() }
    }

    @Test(arguments: [(8, 2), (11, 1), (0, 2)]) func positionsOfAnotherScanAreTold(size: Int, count: Int) throws {
        let header = WireArrayHeader([UInt8](repeating: 0xFF, count: count), udf: "", name: "roi")
        var arrays = try ReceivedArrays([header], parts: received([[UInt8](repeating: 0xFF, count: count)]))
        #expect(throws: ReceivedArrayError.self) { try arrays.takePositions(size: size) }
    }

    @Test func requestsComeBackAsTheyWere() throws {
        let request = try UDFRequest(argument: "mine=disk:cy=3,r=20")
        #expect(UDFRequest(WireUdfRequest(request)).id == "mine")
        #expect(UDFRequest(WireUdfRequest(request)).name == "disk")
        #expect(WireUdfRequest(UDFRequest(WireUdfRequest(request))) == WireUdfRequest(request))
    }
}
