import Foundation
import Testing

/// Sessions against a simulated server and network, with random faults from a seed: `STEMWIRE_PROPERTY_CASES` sets how many.
@Suite struct WorkerSimulationTests {
    static let cases = ProcessInfo.processInfo.environment["STEMWIRE_PROPERTY_CASES"].flatMap { Int($0) } ?? 100

    @Test(arguments: 0..<cases) func everyPartitionIsDoneAndNothingIsLeft(_ seed: Int) throws {
        var world = WorkerWorld(seed: UInt64(seed))
        world.run(steps: 600)
        world.settle()
        #expect(world.faults == [], "seed \(seed)")
    }
}
