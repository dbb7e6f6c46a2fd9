import StemwireAcquisition

extension AcquisitionServer {
    /// Plays frames from memory to the clients, in the detector's place, and returns when all have been handed on.
    ///
    /// For benchmarks of what lies behind the detector's connection. There must be no such connection meanwhile, and the
    /// source's generations must lie above those played before. Blocks while consumers hold all memory; to be called
    /// between `start()` and `stop()`.
    @_spi(Benchmarks)
    public func play(_ makeSource: (_ ring: FrameRing, _ consumers: [TileQueue]) -> MemorySource) throws {
        guard let receiver else { return }
        try makeSource(receiver.ring, receiver.consumers).run()
    }
}
