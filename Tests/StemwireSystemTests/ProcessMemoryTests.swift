import StemwireSystem
import Testing

@Suite struct ProcessMemoryTests {
    /// Memory that a busy time has left behind: bytes by which giving it back makes the process smaller.
    private static func given() -> Int {
        let (count, size) = (65_536, 1024)
        var blocks = (0..<count).map { _ in
            let block = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
            block.initializeMemory(as: UInt8.self, repeating: 1)
            return block
        }
        // One that stays, at the end, keeps the library from giving back what is free below it.
        let last = blocks.removeLast()
        for block in blocks { block.deallocate() }
        let before = ProcessMemory.residentBytes
        ProcessMemory.giveBack()
        defer { last.deallocate() }
        return before - ProcessMemory.residentBytes
    }

    @Test func whatWasFreedIsGivenBack() {
        // Other tests take memory meanwhile.
        #expect((0..<10).contains { _ in Self.given() > 32 << 20 })
    }
}
