import StemwireKernels
import StemwireProtocol
import StemwireUDF
import StemwireWire
import Testing
import ZeroMQ

@Suite("Arrays of a run on the wire") struct RunArraysTests {
    private let roi = PositionSet((0..<11).map { $0 % 3 == 0 })
    private let corrections = Corrections(
        dark: ResultArray((0..<6).map { Float($0) }, shape: [2, 3]),
        gain: ResultArray((0..<6).map { Double($0) / 2 }, shape: [2, 3]), excluded: ExcludedPixels([(y: 1, x: 2)]))
    private var requests: [UDFRequest] {
        var masks = UDFRequest(id: "m", name: "masks")
        masks.auxiliary = ["shift": ResultArray((0..<22).map { Int32($0) }, shape: [11, 2])]
        return [UDFRequest(name: "sum"), masks]
    }

    private func parts(_ arrays: RunArrays) -> [ReceivedPart] {
        arrays.payload.map { array in ReceivedPart(Message(copying: array.withUnsafeBytes { Array($0) })) }
    }

    /// The requests as they came, without their arrays.
    private var bare: [UDFRequest] { requests.map { UDFRequest(WireUdfRequest($0)) } }

    @Test("what is sent comes")
    func roundTrip() throws {
        let sent = RunArrays(roi: roi.bitmap, corrections: corrections, requests: requests)
        #expect(sent.headers.map(\.purpose) == ["roi", "dark", "gain", "excluded", "auxiliary"])
        var received = bare
        let arrays = try ReceivedRunArrays(
            ReceivedArrays(sent.headers, parts: parts(sent)), requests: &received)
        #expect(arrays.roi.flatMap { PositionSet(bitmap: $0, size: 11) } == roi)
        #expect(arrays.corrections == corrections)
        #expect(received.map(\.auxiliary) == requests.map(\.auxiliary))
        var none = bare
        let nothing = try ReceivedRunArrays(ReceivedArrays([], parts: []), requests: &none)
        #expect(nothing.roi == nil && nothing.corrections.isEmpty)
    }

    @Test("what does not fit is refused and named")
    func refused() throws {
        let sent = RunArrays(roi: nil, corrections: corrections, requests: requests)
        func fault(_ change: (inout [WireArrayHeader], inout [ReceivedPart]) -> Void) -> String {
            var (headers, parts) = (sent.headers, parts(sent))
            change(&headers, &parts)
            var received = bare
            do {
                _ = try ReceivedRunArrays(ReceivedArrays(headers, parts: parts), requests: &received)
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(fault { _, _ in } == "")
        #expect(fault { _, parts in parts.removeLast() }.contains("4 arrays are announced, 3 came"))
        #expect(fault { headers, _ in headers[0].checksum += 1 }.contains("changed on the way"))
        #expect(fault { headers, _ in headers[0].dtype = "float7" }.contains("float7"))
        #expect(fault { headers, _ in headers[0].shape = [2, 4] }.contains("the array"))
        #expect(fault { headers, _ in headers[0].shape = [UInt32](repeating: 1, count: 9) }.contains("9 axes"))
        #expect(fault { headers, _ in headers[0].purpose = "phase" }.contains("phase"))
        #expect(fault { headers, _ in headers[3].udf = "nobody" }.contains("nobody"))
        #expect(fault { headers, _ in headers[0].shape = [.max, .max, .max] }.contains("the array"))
    }
}
