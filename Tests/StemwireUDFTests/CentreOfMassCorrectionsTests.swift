import Foundation
import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

@Suite("Corrections guessed from centres of mass")
struct CentreOfMassCorrectionsTests {
    private let rows = 24
    private let columns = 31

    /// The centres that a field of atoms leaves on a detector that is turned, and mirrored before.
    private func centres(turnedBy degrees: Double, flipY: Bool, dtype: DType = .float32) -> ResultArray {
        var values: [Double] = []
        let angle = -degrees * Double.pi / 180
        for row in 0..<rows {
            for column in 0..<columns {
                // Towards the nearest atom of a lattice, most near it: the gradient of a sum of narrow peaks.
                var field = [0.0, 0.0]
                for atom in [(5.3, 6.1), (5.3, 20.2), (17.6, 6.1), (17.6, 20.2), (11.2, 13.4)] {
                    let (y, x) = (atom.0 - Double(row), atom.1 - Double(column))
                    let weight = exp(-(y * y + x * x) / 6)
                    field[0] += weight * y
                    field[1] += weight * x
                }
                let y = cos(angle) * field[0] + sin(angle) * field[1]
                values += [12.25 + (flipY ? -y : y), 8.5 + cos(angle) * field[1] - sin(angle) * field[0]]
            }
        }
        let shape = [rows, columns, 2]
        return dtype == .float32 ? ResultArray(values.map(Float.init), shape: shape) : ResultArray(values, shape: shape)
    }

    @Test(arguments: [0, 17, 90, 133, 180, 181, 270, 359], [false, true])
    func rotationAndHandednessAreFound(degrees: Int, flipY: Bool) throws {
        let found = try CentreOfMassUDF.guessCorrections(
            centres(turnedBy: Double(degrees), flipY: flipY, dtype: degrees % 2 == 0 ? .float32 : .float64))
        #expect(found.scanRotation == (degrees > 180 ? degrees - 360 : degrees))
        #expect(found.flipY == flipY)
        #expect(abs(found.cy - 12.25) < 0.2 && abs(found.cx - 8.5) < 0.2)
        #expect(found.parameters.cy == found.cy && found.parameters.scanRotation == Double(found.scanRotation))
    }

    /// LiberTEM's way: every angle in its turn.
    private func plainCurls(_ centres: ResultArray, flipY: Bool) -> [Double] {
        let values = centres.doubles()
        return (0..<180).map { degrees in
            let angle = Double(degrees) * Double.pi / 180
            func field(_ row: Int, _ column: Int) -> (y: Double, x: Double) {
                let y = values[2 * (row * columns + column)] * (flipY ? -1 : 1)
                let x = values[2 * (row * columns + column) + 1]
                return (cos(angle) * y + sin(angle) * x, cos(angle) * x - sin(angle) * y)
            }
            var sum = 0.0
            for row in 0..<rows - 1 {
                for column in 0..<columns - 1 {
                    let (above, left) = (max(row - 1, 0), max(column - 1, 0))
                    let alongColumns = (field(row, column + 1).y - field(row, left).y) / Double(column + 1 - left)
                    let alongRows = (field(row + 1, column).x - field(above, column).x) / Double(row + 1 - above)
                    sum += pow(alongColumns - alongRows, 2)
                }
            }
            return sum
        }
    }

    @Test func angleIsTheOneOfLeastCurl() throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<4 {
            let noise = (0..<rows * columns * 2).map { _ in Double.random(in: -1...1, using: &generator) }
            let centres = ResultArray(noise, shape: [rows, columns, 2])
            let found = try CentreOfMassUDF.guessCorrections(centres)
            let straight = plainCurls(centres, flipY: false)
            let flipped = plainCurls(centres, flipY: true)
            let best = min(straight.min()!, flipped.min()!)
            #expect(found.flipY == (flipped.min()! < straight.min()!))
            let angle = (found.flipY ? flipped : straight).firstIndex(of: best)!
            #expect((found.scanRotation + 360) % 180 == angle)
        }
    }

    @Test func lostPositionsAndRegionsAreLeftOut() throws {
        let whole = centres(turnedBy: 40, flipY: true)
        var values = whole.elements(as: Float.self)
        for position in [3, 50, 200, 201, 333] {
            values[2 * position] = .nan
            values[2 * position + 1] = .nan
        }
        let holed = try CentreOfMassUDF.guessCorrections(ResultArray(values, shape: whole.shape))
        #expect(holed.scanRotation == 40 && holed.flipY && !holed.cy.isNaN)
        // Outside the region is nonsense.
        for position in values.indices where position / 2 / columns >= 20 { values[position] = Float(position % 17) }
        let region = PositionSet((0..<rows * columns).map { $0 / columns < 18 })
        let inRegion = try CentreOfMassUDF.guessCorrections(ResultArray(values, shape: whole.shape), roi: region)
        #expect(inRegion.scanRotation == 40 && inRegion.flipY)
    }

    @Test func whatCannotBeGuessedFromIsRefused() {
        func refusal(_ array: ResultArray, roi: PositionSet? = nil) -> String {
            message { _ = try CentreOfMassUDF.guessCorrections(array, roi: roi) }
        }
        let flat = ResultArray(zeros: .float32, shape: [4, 5, 2])
        #expect(refusal(ResultArray(zeros: .float32, shape: [4, 5])).contains("not (y, x, 2)"))
        #expect(refusal(ResultArray(zeros: .complex64, shape: [4, 5, 2])).contains("complex64"))
        #expect(refusal(flat, roi: PositionSet(size: 7)).contains("7 scan positions, the centres are 20"))
        #expect(refusal(flat, roi: PositionSet(size: 20)).contains("no scan position"))
        #expect(refusal(ResultArray(zeros: .float32, shape: [1, 5, 2])).contains("takes two rows and columns"))
        #expect(refusal(flat) == "no error")
    }
}
