import MerlinProtocol
import Stemwire
import StemwireUDF
import Testing

extension LiveContextTests {
    @Suite("functions of a frame") struct Functions {
        @Test("a closure as a UDF, beside others, also from a registry")
        func closures() async throws {
            let frames = (0..<384).map { UInt16($0 * 31 % 251) }
            let context = LiveContext(
                threads: 2, registry: try .builtIn.adding(function: "last") { $0.pixels.last ?? 0 })
            let connection = try context.makeConnection(
                .memory(frames, navShape: [4, 6], sigShape: SigShape(height: 4, width: 4)))
            let scan = try context.makeAcquisition(connection)
            let outcome = try await context.run(
                [.function("brightest") { $0.pixels.max() ?? 0 }, UDFRequest(name: "last"), sum], on: scan,
                timeout: .seconds(120))
            let images = (0..<24).map { frames[16 * $0..<16 * $0 + 16] }
            #expect(outcome["brightest", "result"]?.shape == [4, 6])
            #expect(outcome["brightest", "result"]?.array.doubles() == images.map { Double($0.max()!) })
            #expect(outcome["last", "result"]?.array.doubles() == images.map { Double($0.last!) })
            #expect(outcome["sum"] != nil && outcome.isComplete)
        }

        @Test("a server is not given functions")
        func refused() async throws {
            let context = try LiveContext(server: "tcp://127.0.0.1:\(try freePort())")
            let scan = try context.makeAcquisition(context.makeConnection(.server))
            await expectRunError({ $0.isBadRequest(with: "the function brightest cannot be sent to a server") }) {
                _ = try await context.run(.function("brightest") { $0.pixels.max() ?? 0 }, on: scan)
            }
        }
    }
}
