import CBench
import Foundation
import MerlinProtocol
import MerlinSimulator
import StemwireAcquisition
@_spi(Benchmarks) import StemwireServer
import StemwireSystem
import StemwireUDF

/// What this program does as the child of itself: says its ports, and ends when its standard input does.
enum ChildRole: String {
    /// RING-MIB DATA-PORT: a server with the usual UDFs on a detector.
    case serve = "child-serve"
    /// RING-MIB DATA-PORT SPOOL-MIB UDF: a server on a detector whose UDFs, if there are any, are left to workers.
    case serveDetector = "child-serve-detector"
    /// checksums|no-checksums FRAMES: a server that plays frames from memory for each line it reads.
    case serveMemory = "child-serve-memory"
    /// A simulator that sends from memory.
    case simulate = "child-simulate"
    /// See `WorkServer.Setting`: a server without threads of its own, that plays frames from memory for each line it reads.
    case serveWork = "child-serve-work"
    /// ENDPOINT THREADS PAUSE-MS: a worker; each partition of the UDF `paused-sum` takes so long at least.
    case work = "child-work"
    /// FRAMES UDF: runs a UDF alone on one thread for each line it reads, and tells the nanoseconds.
    case compute = "child-compute"
    /// PORT FRAMES: counts the allocations of the thread that receives.
    case countAllocations = "child-count-allocations"

    func play(_ words: [String]) async throws {
        let numbers = words.compactMap { Int($0) }
        switch self {
        case .serve: try await serve(ring: numbers[0], dataPort: numbers[1])
        case .serveDetector:
            try await serveDetector(ring: numbers[0], dataPort: numbers[1], spool: numbers[2], udf: words[3])
        case .serveMemory: try await serveMemory(checksums: words[0] == "checksums", frames: numbers[0])
        case .simulate: try simulate()
        case .serveWork: try await WorkServer.serve(WorkServer.Setting(words))
        case .work: try await WorkerRole.work(endpoint: words[0], threads: numbers[0], pause: numbers[1])
        case .compute: try ComputeRole.compute(frames: numbers[0], udf: words[1])
        case .countAllocations: Console.line("\(try AllocationBenchmark.count(port: numbers[0], frames: numbers[1]))")
        }
    }

    private func serve(ring: Int, dataPort: Int) async throws {
        var configuration = ServerConfiguration()
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
        configuration.detectorDataPort = dataPort
        configuration.ringBytes = ring << 20
        configuration.udfs = ["sum", "sumsig", "monitor"].map { UDFRequest(name: $0) }
        let server = try AcquisitionServer(configuration)
        let endpoints = try await server.start()
        Console.line("\(endpoints.controlPort) \(endpoints.livePort)")
        while readLine() != nil {}
        await server.stop()
    }

    private func serveDetector(ring: Int, dataPort: Int, spool: Int, udf: String) async throws {
        Machine.raiseDescriptorLimit(to: 65536)
        var configuration = ServerConfiguration()
        (configuration.trust.maximumConnections, configuration.trust.descriptorShare) = (65536, 0.75)
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
        configuration.detectorDataPort = dataPort
        configuration.ringBytes = ring << 20
        configuration.spoolBytes = spool << 20
        configuration.threads = 0
        configuration.registry = try WorkerRole.registry(pause: 0)
        configuration.udfs = udf == "none" ? [] : [try UDFRequest(argument: udf)]
        let server = try AcquisitionServer(configuration)
        let endpoints = try await server.start()
        Console.line("\(endpoints.controlPort) \(endpoints.livePort) \(endpoints.workPort)")
        while readLine() != nil {}
        await server.stop()
    }

    private func serveMemory(checksums: Bool, frames: Int) async throws {
        var configuration = ServerConfiguration()
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
        // Nobody serves data there.
        configuration.detectorDataPort = 1
        // All memory may wait in the subscriber's queue, which takes it without dropping: libzmq tells a publisher of
        // room in a queue of 16 messages after every eighth one, so that 8 always fit.
        configuration.ringBytes = 8 << 20
        configuration.liveShare = 1
        configuration.sendsChecksums = checksums
        let server = try AcquisitionServer(configuration)
        let endpoints = try await server.start()
        Console.line("\(endpoints.controlPort)")
        let navShape = try NavShape([frames])
        var source = SourceConfiguration()
        source.framesPerPartition = frames
        // Tiles of one size: those of a waiting source would be handed on half full.
        source.tileAgeLimit = .seconds(1)
        while readLine() != nil {
            defer { source.tracker.firstGeneration += 1 }
            try server.play { [source] ring, consumers in
                MemorySource(
                    navShape: navShape, sigShape: SigShape(height: 256, width: 256), pixelType: .u16, ring: ring,
                    consumers: consumers, configuration: source
                ) { _, _ in }
            }
        }
        await server.stop()
    }

    private func simulate() throws {
        var configuration = SimulatorConfiguration(source: .constant(1000))
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        // More than fits into any cache.
        configuration.navShape = [32, 64]
        configuration.isContinuous = true
        configuration.cache = .memory
        let simulator = try MerlinSimulator(configuration)
        let ports = try simulator.start()
        Console.line("\(ports.data)")
        while readLine() != nil {}
        simulator.stop()
    }
}
