import MerlinProtocol
import MerlinSimulator
import Stemwire
import StemwireSystem
import StemwireUDF
import Testing

@Suite struct LocalRunTests {
    /// A detector that scans on and on, and a run that looks only after many more scans have come.
    @Test(.timeLimit(.minutes(1))) func theFirstScanCountsHoweverManyFollow() async throws {
        var configuration = SimulatorConfiguration(source: .constant(3))
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        configuration.navShape = [4, 4]
        configuration.sigShape = SigShape(height: 8, width: 8)
        configuration.mode = .freeRunning
        let simulator = try MerlinSimulator(configuration)
        let ports = try simulator.start()
        defer { simulator.stop() }
        var options = RunOptions()
        options.timeout = .seconds(120)
        let run = LocalRun(
            source: .merlin(host: "127.0.0.1", controlPort: ports.control, dataPort: ports.data),
            requests: [UDFRequest(name: "sum")], options: options)
        let outcome = try await run.run { _ in
            let deadline = ContinuousClock.now + .seconds(60)
            let pause = CountingSemaphore()
            while simulator.statistics.runs < 20, ContinuousClock.now < deadline {
                _ = pause.wait(timeout: .milliseconds(1))
            }
        }
        #expect(simulator.statistics.runs >= 20)
        #expect(outcome.isComplete && outcome.accounting.placed == 16)
        #expect(outcome.channels.first?.array.doubles().allSatisfy { $0 == 3 * 16 } == true)
    }
}
