import StemwireKernels
import Testing

@Suite struct InstructionSetTests {
    @Test func everyMachineHasTheBase() {
        #expect(InstructionSet.supported.first == .base)
        #expect(InstructionSet.supported.contains(.current))
    }

    @Test func theHighestIsTakenWhenNothingIsAskedFor() throws {
        #expect(try InstructionSet.select(nil) == InstructionSet.supported.last)
        #expect(try InstructionSet.select("") == InstructionSet.supported.last)
    }

    @Test(arguments: InstructionSet.allCases)
    func aLevelThatRunsCanBeForced(_ level: InstructionSet) throws {
        if InstructionSet.supported.contains(level) {
            #expect(try InstructionSet.select(level.rawValue) == level)
        } else {
            #expect(throws: InstructionSetError.unsupported(level)) { try InstructionSet.select(level.rawValue) }
        }
    }

    @Test func anUnknownLevelIsNamedTogetherWithTheKnownOnes() {
        #expect(throws: InstructionSetError.unknown("avx9")) { try InstructionSet.select("avx9") }
        let message = InstructionSetError.unknown("avx9").description
        #expect(message.contains("STEMWIRE_KERNELS=avx9") && message.contains("base"))
        #expect(InstructionSetError.unsupported(.v4).description.contains("STEMWIRE_KERNELS=v4"))
    }
}
